// Synthetic checkpoints: the same bytes for the same seed, and the variety that tests rely on.
#include "engine/model/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "engine/model/blueprint.h"
#include "engine/model/checkpoint.h"
#include "engine/model/load.h"
#include "engine/model/synth_values.h"
#include "kernels/api/fp8.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

std::map<std::string, std::string> files_of(const SmallModel& model) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(model.dir())) {
        files[entry.path().filename().string()] = read_file(entry.path().string());
    }
    return files;
}

TEST(Synth, TheSameSeedGivesTheSameBytes) {
    const auto files = files_of(SmallModel(small_config(), 42));
    EXPECT_EQ(files, files_of(SmallModel(small_config(), 42)));
    EXPECT_EQ(files.size(), 5U);  // config, index, three shards, nothing left over
    EXPECT_NE(files, files_of(SmallModel(small_config(), 43)));
}

// Pinned: golden data depends on these bytes, on every machine.
TEST(Synth, ValuesArePinned) {
    const SynthStream stream(1, "model.layers.0.mlp.up_proj.weight");
    EXPECT_EQ(stream.bits(0), 0xA97680E06CFBE817U);
    EXPECT_EQ(stream.bits(123456789), 0xB7AE0C036B90FD1DU);
    EXPECT_EQ(stream.normal(0), 0x1.b96012p-1F);
}

TEST(Synth, NormalsHaveTheirMoments) {
    const SynthStream stream(9, "any");
    double sum = 0.0;
    double squares = 0.0;
    constexpr int kCount = 100'000;
    for (std::uint64_t i = 0; i < kCount; ++i) {
        const double value = stream.normal(i);
        ASSERT_LE(std::abs(value), SynthStream::kMaxNormal);
        sum += value;
        squares += value * value;
    }
    EXPECT_NEAR(sum / kCount, 0.0, 0.013);      // 4 standard errors
    EXPECT_NEAR(squares / kCount, 1.0, 0.018);  // 4 standard errors bound it for a normal's tails
}

TEST(Synth, ScalesVaryAndOneBlockIsZero) {
    const std::string config_path =
        std::string(TURNPIKE_SOURCE_DIR) + "/config/files/models/tiny-random/config.json";
    const test::TempDir temp;
    SynthOptions options;
    options.config_path = config_path;
    options.seed = 1;
    options.out_dir = temp.path().string();
    ASSERT_TRUE(synthesize_checkpoint(options));
    const auto config = load_blueprint(config_path);
    const auto checkpoint = Checkpoint::open(options.out_dir);
    ASSERT_TRUE(config && checkpoint);
    int num_zero = 0;
    int num_large = 0;
    int num_small = 0;
    for (const TensorSpec& spec : (*config)->tensors()) {
        if (spec.kind != TensorKind::kFp8Matrix) continue;
        const auto source = checkpoint->weight(spec.name);
        const std::int64_t blocks = (source.rows + 127) / 128 * ((source.cols + 127) / 128);
        for (std::int64_t i = 0; i < blocks; ++i) {
            float scale = 0.0F;
            std::memcpy(&scale, source.scales + 4 * i, 4);
            const float largest = scale * kernels::kFp8Max;
            num_zero += largest == 0.0F ? 1 : 0;
            num_large += largest > 0.4F ? 1 : 0;
            num_small += largest > 0.0F && largest < 0.01F ? 1 : 0;
        }
    }
    EXPECT_EQ(num_zero, 1);
    EXPECT_GT(num_large, 50);
    EXPECT_GT(num_small, 50);
}

TEST(Synth, MtpTablesAreCopies) {
    const SmallModel model(small_config(), 1, 1);
    const auto checkpoint = Checkpoint::open(model.dir());
    ASSERT_TRUE(checkpoint);
    const auto table = checkpoint->weight("model.embed_tokens.weight");
    const auto copy = checkpoint->weight("model.layers.2.embed_tokens.weight");
    const auto head = checkpoint->weight("lm_head.weight");
    const std::size_t bytes = 300 * 128 * 2;
    EXPECT_EQ(std::memcmp(table.data, copy.data, bytes), 0);
    EXPECT_NE(std::memcmp(table.data, head.data, bytes), 0);
}

// Flat logits would make every test of sampling meaningless, runaway ones would make it greedy.
TEST(Synth, AnFp8HeadAndItsCopyHaveScales) {
    nlohmann::json config = small_config();
    config["quantization_config"]["modules_to_not_convert"] = nlohmann::json::array();
    const SmallModel model(config);
    const auto checkpoint = Checkpoint::open(model.dir());
    ASSERT_TRUE(checkpoint);
    ASSERT_TRUE(check_checkpoint(model.dir()));
    const auto head = checkpoint->weight("lm_head.weight");
    const auto copy = checkpoint->weight("model.layers.2.shared_head.head.weight");
    EXPECT_EQ(head.dtype, kernels::DType::kF8E4M3);
    ASSERT_NE(head.scales, nullptr);
    ASSERT_NE(copy.scales, nullptr);
    EXPECT_EQ(std::memcmp(head.data, copy.data, static_cast<std::size_t>(head.rows * head.cols)),
              0);
    EXPECT_EQ(std::memcmp(head.scales, copy.scales, 3 * sizeof(float)), 0);
    RunnerOptions options;
    options.model_dir = model.dir();
    const auto logits = compute_logits(options, std::vector<TokenId>{2, 3, 4}, 3);
    ASSERT_TRUE(logits) << logits.error().message;
    for (const float logit : *logits) EXPECT_TRUE(std::isfinite(logit));
}

TEST(Synth, LogitsAreNeitherFlatNorRunaway) {
    const SmallModel model;
    RunnerOptions options;
    options.model_dir = model.dir();
    const std::vector<TokenId> tokens{0, 5, 17, 200, 33, 8};
    const auto logits = compute_logits(options, tokens, 6);
    ASSERT_TRUE(logits) << logits.error().message;
    double squares = 0.0;
    for (const float logit : *logits) {
        ASSERT_TRUE(std::isfinite(logit));
        squares += logit * logit;
    }
    const double deviation = std::sqrt(squares / static_cast<double>(logits->size()));
    EXPECT_GT(deviation, 1.0);
    EXPECT_LT(deviation, 4.0);
}

TEST(Synth, NormalisesTheConfig) {
    const SmallModel model;
    EXPECT_EQ(nlohmann::json::parse(read_file(model.file("config.json"))), small_config());
}

TEST(Synth, AFolderCanBeWrittenAgainInOneFile) {
    const test::TempDir temp;
    write_file((temp.path() / "in.json").string(), small_config().dump());
    SynthOptions options;
    options.config_path = (temp.path() / "in.json").string();
    options.out_dir = (temp.path() / "model").string();
    ASSERT_TRUE(synthesize_checkpoint(options));
    options.num_shards = 1;
    ASSERT_TRUE(synthesize_checkpoint(options));
    EXPECT_FALSE(std::filesystem::exists(options.out_dir + "/model.safetensors.index.json"));
    EXPECT_TRUE(check_checkpoint(options.out_dir));
}

TEST(Synth, RefusesWhatItCannotDo) {
    const test::TempDir temp;
    const std::string path = (temp.path() / "in.json").string();
    nlohmann::json config = small_config();
    config["architectures"] = {"LlamaForCausalLM"};
    write_file(path, config.dump());
    SynthOptions options;
    options.config_path = path;
    options.out_dir = (temp.path() / "model").string();
    EXPECT_EQ(synthesize_checkpoint(options).error().param, "architectures");
    write_file(path, small_config().dump());
    options.num_shards = 0;
    EXPECT_EQ(synthesize_checkpoint(options).error().param, "num_shards");
    options.num_shards = 3;
    options.out_dir = path + "/below-a-file";
    EXPECT_EQ(synthesize_checkpoint(options).error().code, ErrorCode::kIo);
    options.config_path = "/nonexistent";
    EXPECT_EQ(synthesize_checkpoint(options).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace turnpike::engine
