// What a tokenizer.json may ask for, what is refused, and that any bytes survive a round trip.
#include "engine/text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/text/byte_level.h"
#include "engine/text/special_tokens.h"
#include "engine/text/synth_tokenizer.h"

namespace turnpike::engine::text {
namespace {

using nlohmann::json;

// Trained once: it takes a second in a debug build.
json spec() {
    static const std::string kText = synthesize_tokenizer_json(2048).value();
    return json::parse(kText);
}

std::string problem(const json& file) {
    const auto tokenizer = Tokenizer::parse(file.dump(), "t.json");
    return tokenizer ? "" : tokenizer.error().message;
}

TEST(ByteLevel, EveryByteHasItsCharacter) {
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    EXPECT_EQ(from_byte_level(to_byte_level(all)).value(), all);
    EXPECT_EQ(to_byte_level(" a\n"), "ĠaĊ");
    EXPECT_FALSE(from_byte_level("…").has_value());
}

TEST(SynthTokenizer, HasTheRealLayoutAndTheSameBytesEachTime) {
    EXPECT_EQ(synthesize_tokenizer_json(2048).value(), synthesize_tokenizer_json(2048).value());
    EXPECT_FALSE(synthesize_tokenizer_json(299).has_value());
    EXPECT_TRUE(synthesize_tokenizer_json(129'280).has_value());  // of the real head: in seconds
    for (const std::int32_t size : {300, 512, 1024}) {
        const Tokenizer tokenizer =
            Tokenizer::parse(synthesize_tokenizer_json(size).value(), "t").value();
        EXPECT_EQ(tokenizer.vocab_size(), size - kNumSyntheticPaddingRows);
        EXPECT_EQ(tokenizer.find_special(special::kBos), 0);
        EXPECT_EQ(tokenizer.find_special(special::kEos), 1);
        EXPECT_TRUE(tokenizer.find_special(special::kThinkEnd).has_value());
    }
}

TEST(Tokenizer, OrdinaryEnglishIsNotSpelledOut) {
    const Tokenizer tokenizer = Tokenizer::parse(spec().dump(), "t").value();
    EXPECT_LT(tokenizer.encode("What are some fun things to do in New York?", SpecialTokens::kPlain)
                  .size(),
              20U);
}

TEST(Tokenizer, AnyBytesSurviveARoundTrip) {
    const Tokenizer tokenizer = Tokenizer::parse(spec().dump(), "t").value();
    std::mt19937 random(7);
    for (int i = 0; i < 2000; ++i) {
        std::string text(random() % 40, '\0');
        for (char& c : text) c = static_cast<char>(random());
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kPlain)), text);
        EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, SpecialTokens::kMatch)), text);
    }
    const std::string run(20'000, 'a');
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(run, SpecialTokens::kPlain)), run);
    EXPECT_EQ(tokenizer.token_bytes(-1), "");
    EXPECT_EQ(tokenizer.token_bytes(1'000'000), "");
}

TEST(Tokenizer, SpecialTokensAreTextWhenPlain) {
    const Tokenizer tokenizer = Tokenizer::parse(spec().dump(), "t").value();
    const TokenId user = tokenizer.find_special(special::kUser).value();
    const std::string text = "a" + std::string(special::kUser) + "b";
    const auto matched = tokenizer.encode(text, SpecialTokens::kMatch);
    EXPECT_NE(std::find(matched.begin(), matched.end(), user), matched.end());
    const auto plain = tokenizer.encode(text, SpecialTokens::kPlain);
    EXPECT_EQ(std::find(plain.begin(), plain.end(), user), plain.end());
    EXPECT_EQ(tokenizer.decode(plain), text);
}

TEST(Tokenizer, MergesMayBePairs) {
    json file = spec();
    json pairs = json::array();
    for (const json& merge : file["model"]["merges"]) {
        const auto text = merge.get<std::string>();
        const std::size_t space = text.find(' ');
        pairs.push_back({text.substr(0, space), text.substr(space + 1)});
    }
    file["model"]["merges"] = pairs;
    const Tokenizer a = Tokenizer::parse(spec().dump(), "t").value();
    const Tokenizer b = Tokenizer::parse(file.dump(), "t").value();
    EXPECT_EQ(a.encode("the weather", SpecialTokens::kPlain),
              b.encode("the weather", SpecialTokens::kPlain));
}

TEST(Tokenizer, RefusesWhatItDoesNotDo) {
    const auto with = [](const char* pointer, const json& value) {
        json file = spec();
        file[json::json_pointer(pointer)] = value;
        return problem(file);
    };
    EXPECT_EQ(problem(spec()), "");
    EXPECT_NE(with("/model/type", "Unigram").find("BPE"), std::string::npos);
    EXPECT_NE(with("/model/byte_fallback", true).find("byte_fallback"), std::string::npos);
    EXPECT_NE(with("/model/dropout", 0.1).find("dropout"), std::string::npos);
    EXPECT_NE(with("/normalizer", {{"type", "Lowercase"}}).find("Lowercase"), std::string::npos);
    EXPECT_NE(with("/pre_tokenizer", {{"type", "Metaspace"}}).find("Metaspace"), std::string::npos);
    EXPECT_NE(with("/pre_tokenizer/pretokenizers/0/behavior", "Removed").find("Isolated"),
              std::string::npos);
    EXPECT_NE(with("/pre_tokenizer/pretokenizers/0/pattern/Regex", "(").find("byte"),
              std::string::npos);
    EXPECT_NE(with("/pre_tokenizer/pretokenizers/0/pattern/Regex", "\\w+").find("'\\w'"),
              std::string::npos);
    EXPECT_NE(with("/pre_tokenizer/pretokenizers/3/use_regex", true).find("use_regex"),
              std::string::npos);
    EXPECT_NE(with("/decoder/type", "Metaspace").find("decoder"), std::string::npos);
    EXPECT_NE(with("/added_tokens/0/lstrip", true).find("lstrip"), std::string::npos);
    EXPECT_NE(with("/added_tokens/0/id", -1).find("added token"), std::string::npos);
    EXPECT_NE(with("/model/merges/0", "no such").find("no such"), std::string::npos);
    EXPECT_NE(with("/model/vocab", {{"a", 1}}).find("byte 0"), std::string::npos);
    EXPECT_FALSE(Tokenizer::parse("[]", "t").has_value());
    EXPECT_FALSE(Tokenizer::load("/nonexistent/tokenizer.json").has_value());
}

TEST(Tokenizer, HostileFilesAreRefused) {
    json nested = spec()["pre_tokenizer"];
    json normalizers{{"type", "NFC"}};
    for (int i = 0; i < 20; ++i) {
        nested = {{"type", "Sequence"}, {"pretokenizers", json::array({nested})}};
        normalizers = {{"type", "Sequence"}, {"normalizers", json::array({normalizers})}};
    }
    json file = spec();
    file["pre_tokenizer"] = nested;
    EXPECT_NE(problem(file).find("nesting"), std::string::npos);
    file = spec();
    file["normalizer"] = normalizers;
    EXPECT_NE(problem(file).find("nesting"), std::string::npos);
}

TEST(Tokenizer, DamagedFilesAreReadOrRefused) {
    const std::string original =
        json::parse(synthesize_tokenizer_json(300).value()).dump();  // small: many rounds
    std::mt19937 random(20261124);
    int num_refused = 0;
    for (int i = 0; i < 1500; ++i) {
        std::string text = original;
        for (int k = 0; k < 2; ++k) {
            const std::size_t at = random() % text.size();
            switch (random() % 3) {
                case 0:
                    text[at] = static_cast<char>(random());
                    break;
                case 1:
                    text.erase(at, random() % 12);
                    break;
                default:
                    text.insert(at, text.substr(random() % text.size(), random() % 12));
            }
        }
        const auto tokenizer = Tokenizer::parse(text, "t");
        num_refused += tokenizer ? 0 : 1;
        if (!tokenizer) continue;
        for (const TokenId id : tokenizer->encode("damaged 1 日本\n", SpecialTokens::kMatch))
            EXPECT_LT(id, tokenizer->vocab_size());
    }
    EXPECT_GT(num_refused, 500);
}

TEST(Tokenizer, NormalizedAddedTokensAreFoundInTheNormalForm) {
    json file = spec();
    file["normalizer"] = {{"type", "NFC"}};
    const TokenId id = file["added_tokens"].back()["id"].get<TokenId>();
    file["added_tokens"].back()["content"] = "e\u0301!";  // decomposed
    for (const bool is_normalized : {true, false}) {
        file["added_tokens"].back()["normalized"] = is_normalized;
        const Tokenizer tokenizer = Tokenizer::parse(file.dump(), "t").value();
        const auto has_token = [&](std::string_view text) {
            const auto ids = tokenizer.encode(text, SpecialTokens::kMatch);
            return std::find(ids.begin(), ids.end(), id) != ids.end();
        };
        EXPECT_EQ(has_token("caf\u00e9!"), is_normalized);
        EXPECT_TRUE(has_token("cafe\u0301!"));
        EXPECT_EQ(tokenizer.encode("\xFF", SpecialTokens::kMatch).size(), 1U);
    }
}

TEST(Tokenizer, AnIdOfTwoTokensIsRefused) {
    json file = spec();
    const std::string b = to_byte_level("b");
    const std::string a = to_byte_level("a");
    file["model"]["vocab"][b] = file["model"]["vocab"][a];
    EXPECT_NE(problem(file).find("is given to two tokens"), std::string::npos) << problem(file);
    file = spec();
    // An added token over a byte: "a" would be encoded and "zzz" decoded.
    file["added_tokens"].push_back({{"id", file["model"]["vocab"][a]}, {"content", "zzz"}});
    EXPECT_NE(problem(file).find("'zzz'"), std::string::npos) << problem(file);
    file["added_tokens"].back()["content"] = "a";
    EXPECT_EQ(problem(file), "");
}

TEST(Tokenizer, ADeepMergeIsRefusedWithoutDescending) {
    std::string text = spec().dump();
    const std::string merges = "\"merges\":[";
    const std::string deep = std::string(200'000, '[') + std::string(200'000, ']') + ",";
    text.insert(text.find(merges) + merges.size(), deep);
    const auto tokenizer = Tokenizer::parse(text, "t.json");
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kCorrupt);
    EXPECT_LT(tokenizer.error().message.size(), 300U);
}

}  // namespace
}  // namespace turnpike::engine::text
