// bench_tokenizer TOKENIZER_JSON TEXT REPEATS: encodes the documents of TEXT (separated by NUL
// bytes) REPEATS times on one thread; prints each round's seconds, then the number of tokens.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "engine/text/tokenizer.h"

int main(int argc, char** argv) {
    using turnpike::engine::text::SpecialTokens;
    using turnpike::engine::text::Tokenizer;
    if (argc != 4) {
        std::fprintf(stderr, "usage: bench_tokenizer TOKENIZER_JSON TEXT REPEATS\n");
        return 2;
    }
    const auto tokenizer = Tokenizer::load(argv[1]);
    if (!tokenizer) {
        std::fprintf(stderr, "%s\n", tokenizer.error().message.c_str());
        return 1;
    }
    std::ifstream file(argv[2], std::ios::binary);
    std::vector<std::string> documents;
    for (std::string document; std::getline(file, document, '\0');)
        documents.push_back(std::move(document));
    std::size_t num_tokens = 0;
    for (int repeat = std::atoi(argv[3]); repeat > 0; --repeat) {
        num_tokens = 0;
        const auto begin = std::chrono::steady_clock::now();
        for (const std::string& document : documents)
            num_tokens += tokenizer->encode(document, SpecialTokens::kMatch).size();
        const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
        std::printf("%.6f\n", elapsed.count());
    }
    std::printf("%zu\n", num_tokens);
    return 0;
}
