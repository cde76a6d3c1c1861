// The fuzz targets' main() where libFuzzer is not: feeds a target its corpus, then mutations of it.
//   <program> --corpus DIR [--dictionary FILE]... [--runs N] [--failures DIR]
//   <program> FILE...      each file once
// Exit 0: every input went through. Else the input is saved and the command that repeats it
// printed.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/check.h"
#include "config/base/read_file.h"
#include "tests/fuzz/last_input.h"
#include "tests/fuzz/mutator.h"

namespace turnpike::fuzz {
namespace {

constexpr std::uint64_t kDefaultSeed = 20260101;

struct Options {
    std::string program;
    std::string corpus_dir;
    std::string failures_dir = ".";
    std::vector<std::string> tokens;
    std::vector<std::string> files;
    std::uint64_t num_runs = 1000;
};

std::string must_read(const std::string& path) {
    auto text = read_file("fuzz input", path);
    if (!text) {
        std::fprintf(stderr, "%s\n", text.error().message.c_str());
        std::exit(2);
    }
    return std::move(*text);
}

void add_tokens(Options& options, const std::string& path) {
    for (std::string& token : parse_dictionary(must_read(path))) {
        options.tokens.push_back(std::move(token));
    }
}

[[noreturn]] void refuse(std::string_view argument) {
    std::fprintf(stderr, "unknown or incomplete argument %s; see the top of driver.cpp\n",
                 std::string(argument).c_str());
    std::exit(2);
}

std::uint64_t number_of(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || end != text.data() + text.size()) refuse(text);
    return number;
}

Options parse_options(const std::vector<std::string>& arguments) {
    Options options;
    options.program = arguments[0];
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string& name = arguments[i];
        if (!name.starts_with("--")) {
            options.files.push_back(name);
            continue;
        }
        if (++i == arguments.size()) refuse(name);
        if (name == "--corpus") {
            options.corpus_dir = arguments[i];
        } else if (name == "--dictionary") {
            add_tokens(options, arguments[i]);
        } else if (name == "--runs") {
            options.num_runs = number_of(arguments[i]);
        } else if (name == "--failures") {
            options.failures_dir = arguments[i];
        } else {
            refuse(name);
        }
    }
    return options;
}

// In the order of the names, so that a seed means the same everywhere.
std::vector<std::string> read_corpus(const std::string& dir) {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(dir)) {
        paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
    std::vector<std::string> inputs;
    inputs.reserve(paths.size());
    for (const std::string& path : paths) inputs.push_back(must_read(path));
    return inputs;
}

void run_corpus(const Options& options) {
    const std::vector<std::string> corpus = read_corpus(options.corpus_dir);
    if (corpus.empty()) {
        std::fprintf(stderr, "%s holds no input\n", options.corpus_dir.c_str());
        std::exit(2);
    }
    Mutator mutator(corpus, options.tokens, kDefaultSeed);
    std::printf("%s\n", mutator.replay().c_str());
    std::filesystem::create_directories(options.failures_dir);
    save_failures(options.program, std::filesystem::path(options.program).filename().string(),
                  options.failures_dir, mutator.seed());
    for (const std::string& input : corpus) run_input(input);
    run_input("");
    for (std::uint64_t run = 0; run < options.num_runs; ++run) run_input(mutator.next());
    std::printf("%zu inputs and %llu mutations of them\n", corpus.size(),
                static_cast<unsigned long long>(options.num_runs));
}

}  // namespace
}  // namespace turnpike::fuzz

int main(int argc, char** argv) {
    using namespace turnpike::fuzz;
    const Options options = parse_options({argv, argv + argc});
    if (options.files.empty() == options.corpus_dir.empty())
        refuse("(neither or both of FILE and --corpus)");
    for (const std::string& path : options.files) run_input(must_read(path));
    if (!options.corpus_dir.empty()) run_corpus(options);
    return 0;
}
