// Damaged safetensors files and indexes from seeds: a clear error, or a header whose every tensor
// lies within the file; never a crash.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <span>

#include "engine/model/load.h"
#include "engine/model/safetensors.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

constexpr std::uint64_t kNumSeeds = 300;

// Flips, cuts, repeats or swaps a digit; several times.
std::string damaged(std::string text, std::size_t reach, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const std::uint64_t times = 1 + random() % 4;
    for (std::uint64_t i = 0; i < times && !text.empty(); ++i) {
        const std::size_t at = random() % std::min(text.size(), reach);
        switch (random() % 5) {
            case 0:
                text[at] = static_cast<char>(random());
                break;
            case 1:
                text.resize(at);
                break;
            case 2:
                text.insert(at, text.substr(at, random() % 40));
                break;
            case 3:
                text.erase(at, random() % 40);
                break;
            default:
                text[at] = "0123456789[]{},:\""[random() % 17];
        }
    }
    return text;
}

TEST(SafetensorsFuzz, DamagedHeadersAreRefusedOrSound) {
    const SmallModel model(small_config(), 1, 1);
    const std::string whole = read_file(model.file("model.safetensors"));
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, whole.data(), 8);
    const auto reach = static_cast<std::size_t>(header_bytes) + 8;
    int num_refused = 0;
    for (std::uint64_t seed = 0; seed < kNumSeeds; ++seed) {
        const std::string file = damaged(whole, reach, seed);
        const auto header = parse_safetensors_header(std::as_bytes(std::span(file)), "fuzz");
        if (!header) {
            ++num_refused;
            EXPECT_EQ(header.error().code, ErrorCode::kCorrupt) << "seed " << seed;
            EXPECT_TRUE(header.error().message.starts_with("fuzz")) << "seed " << seed;
            continue;
        }
        for (const auto& [name, tensor] : header->tensors) {
            EXPECT_LE(tensor.begin, tensor.end) << "seed " << seed;
            EXPECT_LE(header->data_offset + tensor.end, file.size()) << "seed " << seed;
        }
    }
    EXPECT_GT(num_refused, 0);
}

TEST(SafetensorsFuzz, DamagedIndexesAreRefusedOrTheSame) {
    const SmallModel model;
    const std::string path = model.file("model.safetensors.index.json");
    const std::string whole = read_file(path);
    int num_refused = 0;
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
        write_file(path, damaged(whole, whole.size(), seed));
        const Status status = check_checkpoint(model.dir());
        if (status) continue;
        ++num_refused;
        EXPECT_FALSE(status.error().message.empty()) << "seed " << seed;
    }
    EXPECT_GT(num_refused, 0);
}

}  // namespace
}  // namespace turnpike::engine
