// Opening models: what is refused and why, and logits of one sequence.
#include "engine/model/load.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

#include "engine/model/safetensors.h"
#include "kernels/api/fp8.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

RunnerOptions options_for(const SmallModel& model) {
    RunnerOptions options;
    options.model_dir = model.dir();
    options.kv_tokens = 256;
    return options;
}

TEST(LoadRunner, ReportsItsShape) {
    const SmallModel model;
    RunnerOptions options = options_for(model);
    options.kv_tokens = 257;
    const auto runner = load_runner(options);
    ASSERT_TRUE(runner) << runner.error().message;
    EXPECT_EQ((*runner)->pool_shape().num_pools, 1);
    EXPECT_EQ((*runner)->pool_shape().blocks_per_pool, 5);
    EXPECT_EQ((*runner)->vocab_size(), 300);
    EXPECT_EQ((*runner)->max_steps_in_flight(), 1);
}

TEST(LoadRunner, RefusesOptionsByName) {
    const SmallModel model;
    RunnerOptions options = options_for(model);
    options.kv_tokens = 0;
    EXPECT_EQ(load_runner(options).error().param, "kv_tokens");
    options.kv_tokens = INT64_MAX;
    EXPECT_EQ(load_runner(options).error().param, "kv_tokens");
    options = options_for(model);
    options.num_tokens = 301;
    EXPECT_EQ(load_runner(options).error().param, "num_tokens");
    options = options_for(model);
    options.num_threads = 0;
    EXPECT_EQ(load_runner(options).error().param, "num_threads");
}

TEST(LoadRunner, RefusesMoreCacheThanTheHostHasMemory) {
    const SmallModel model;
    RunnerOptions options = options_for(model);
    options.kv_tokens = std::int64_t{1} << 35;
    const auto runner = load_runner(options);
    ASSERT_FALSE(runner);
    EXPECT_NE(runner.error().message.find("GiB"), std::string::npos);
}

// The message tells what is needed: the number before " GiB, this host".
double needed_gib(const RunnerOptions& options) {
    const auto runner = load_runner(options);
    EXPECT_FALSE(runner);
    if (runner) return 0.0;
    const std::string& message = runner.error().message;
    const std::size_t end = message.find(" GiB, this host");
    EXPECT_NE(end, std::string::npos) << message;
    return std::stod(message.substr(message.rfind(' ', end - 1) + 1));
}

TEST(LoadRunner, CountsTheDraftLayersCache) {
    const SmallModel model;  // two main layers
    RunnerOptions options = options_for(model);
    options.kv_tokens = std::int64_t{1} << 35;
    const double without = needed_gib(options);
    options.with_draft_layer = true;
    EXPECT_NEAR(needed_gib(options) / without, 1.5, 1e-3);
}

TEST(LoadRunner, RefusesAMissingFolder) {
    RunnerOptions options;
    options.model_dir = "/nonexistent";
    EXPECT_EQ(load_runner(options).error().code, ErrorCode::kNotFound);
}

// Rounded to the nearest; for values within F16's range.
std::uint16_t half_from_float(float value) {
    const float size = std::abs(value);
    int exponent = 0;
    const float fraction = std::frexp(size, &exponent);  // [0.5, 1)
    const long bits = size < 0x1p-14F
                          ? std::lrint(size * 0x1p24F)
                          : ((exponent + 14) << 10) + std::lrint(fraction * 2048.0F) - 1024;
    return static_cast<std::uint16_t>(bits | (value < 0.0F ? 0x8000 : 0));
}

void append_as(const std::string& dtype, float value, std::string& bytes) {
    if (dtype == "F32") {
        bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
        return;
    }
    std::uint16_t bits = kernels::bf16_from_float(value);
    if (dtype == "F16") {
        bits = half_from_float(value);
    }
    bytes.append(reinterpret_cast<const char*>(&bits), sizeof bits);
}

// A damaged value is found when it is loaded, with the tensor's name.
TEST(LoadRunner, RefusesValuesThatAreNotFinite) {
    const SmallModel model(small_config(), 1, 1);
    const std::string name = "model.layers.1.mlp.experts.3.up_proj.weight";
    std::string raw = read_file(model.file("model.safetensors"));
    const auto header = parse_safetensors_header(std::as_bytes(std::span(raw)), "raw");
    ASSERT_TRUE(header);
    raw[header->data_offset + header->tensors.at(name).begin] = '\x7F';
    write_file(model.file("model.safetensors"), raw);
    EXPECT_TRUE(check_checkpoint(model.dir()));  // names, types and shapes are still right
    const auto runner = load_runner(options_for(model));
    ASSERT_FALSE(runner);
    EXPECT_EQ(runner.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(runner.error().message.find(name), std::string::npos);
}

// Every tensor of `from` as `dtype` in one file without an index, as other tools write checkpoints.
void convert(const SmallModel& from, const std::string& dtype, const std::string& out_dir) {
    std::filesystem::create_directory(out_dir);
    nlohmann::json config = nlohmann::json::parse(read_file(from.file("config.json")));
    config["torch_dtype"] = "anything";
    config["rope_scaling"] = nullptr;
    write_file(out_dir + "/config.json", config.dump());
    const std::string raw = read_file(from.file("model.safetensors"));
    const auto header = parse_safetensors_header(std::as_bytes(std::span(raw)), "raw");
    nlohmann::json written;
    std::string data;
    for (const auto& [name, tensor] : header->tensors) {
        const std::size_t begin = data.size();
        const char* bytes = raw.data() + header->data_offset + tensor.begin;
        const std::size_t width = tensor.dtype == "F32" ? 4 : 2;
        for (std::size_t at = 0; at < tensor.end - tensor.begin; at += width) {
            float value = 0.0F;
            if (width == 4) {
                std::memcpy(&value, bytes + at, 4);
            } else {
                std::uint16_t bits = 0;
                std::memcpy(&bits, bytes + at, 2);
                value = kernels::bf16_to_float(bits);
            }
            append_as(dtype, value, data);
        }
        written[name] = {
            {"dtype", dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
    }
    const std::string text = written.dump();
    const std::uint64_t length = text.size();
    write_file(out_dir + "/model.safetensors",
               std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data);
}

// A checkpoint without quantisation, whole in one dtype, router biases too. What the dtypes round
// differs a little.
TEST(ComputeLogits, ACheckpointMayBeOfOneWideType) {
    nlohmann::json config = small_config();
    config.erase("quantization_config");
    config["rope_scaling"] = nullptr;
    config["num_nextn_predict_layers"] = 0;
    const SmallModel model(config, 1, 1);
    const test::TempDir temp;
    const std::vector<TokenId> tokens{4, 9, 16, 25, 36, 49};
    std::map<std::string, std::vector<float>> found;
    for (const char* dtype : {"F32", "BF16", "F16"}) {
        convert(model, dtype, temp.file(dtype));
        for (const char* isa : {"scalar", "auto"}) {
            RunnerOptions options;
            options.model_dir = temp.file(dtype);
            options.isa = isa;
            const auto logits = compute_logits(options, tokens, 3);
            ASSERT_TRUE(logits) << dtype << ": " << logits.error().message;
            found[std::string(dtype) + isa] = *logits;
        }
    }
    ASSERT_EQ(found["F32scalar"].size(), 6U * 300U);
    for (std::size_t i = 0; i < found["F32scalar"].size(); ++i) {
        for (const char* name : {"BF16scalar", "F16scalar", "F32auto", "BF16auto", "F16auto"}) {
            ASSERT_NEAR(found["F32scalar"][i], found[name][i], 0.1F) << name << ", value " << i;
        }
    }
}

TEST(ReadModelInfo, NeedsNoWeights) {
    const test::TempDir temp;
    write_file((temp.path() / "config.json").string(), small_config().dump());
    const auto info = read_model_info(temp.path().string());
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->architecture, "DeepseekV3ForCausalLM");
    EXPECT_EQ(info->vocab_size, 300);
    EXPECT_EQ(info->max_positions, 163840);
    EXPECT_EQ(info->eos_token, 1);
    EXPECT_EQ(info->kv_bytes_per_token, 2 * 80 * 4);
}

TEST(ComputeLogits, RefusesTokensItHasNoRowsFor) {
    const SmallModel model;
    RunnerOptions options = options_for(model);
    EXPECT_EQ(compute_logits(options, std::vector<TokenId>{}, 0).error().param, "tokens");
    EXPECT_EQ(compute_logits(options, std::vector<TokenId>{1, 300}, 2).error().param, "tokens");
    EXPECT_EQ(compute_logits(options, std::vector<TokenId>{-1}, 1).error().param, "tokens");
    const std::vector<TokenId> many(257 + 63, 5);
    EXPECT_EQ(compute_logits(options, many, 1).error().param, "tokens");
    options.kv_tokens = 0;
    EXPECT_TRUE(compute_logits(options, many, 1));
}

TEST(ComputeLogits, EarlierRowsDoNotSeeLaterTokens) {
    const SmallModel model;
    const RunnerOptions options = options_for(model);
    const std::vector<TokenId> tokens{4, 9, 16, 25, 36, 49};
    const auto whole = compute_logits(options, tokens, 3);
    const auto part = compute_logits(options, std::span(tokens).first(4), 3);
    ASSERT_TRUE(whole && part);
    EXPECT_TRUE(std::equal(part->begin(), part->end(), whole->begin()));
}

}  // namespace
}  // namespace turnpike::engine
