// A checkpoint folder: index, shards, and every tensor checked against the config by name.
#include "engine/model/checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/model/load.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

// Replaces the first occurrence; the header keeps its length.
void patch_file(const std::string& path, const std::string& from, const std::string& to) {
    ASSERT_EQ(from.size(), to.size());
    std::string text = read_file(path);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    write_file(path, text);
}

void expect_corrupt(const SmallModel& model, std::initializer_list<const char*> parts) {
    const Status status = check_checkpoint(model.dir());
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
    for (const char* part : parts) {
        EXPECT_NE(status.error().message.find(part), std::string::npos)
            << part << " in: " << status.error().message;
    }
}

TEST(Checkpoint, AcceptsWhatTheSynthesiserWrites) {
    for (const int num_shards : {1, 2, 3, 7}) {
        const SmallModel model(small_config(), 1, num_shards);
        const Status status = check_checkpoint(model.dir());
        EXPECT_TRUE(status) << status.error().message;
    }
}

TEST(Checkpoint, AWeightAndItsScalesMayLieApart) {
    const SmallModel model;
    const auto index = nlohmann::json::parse(read_file(model.file("model.safetensors.index.json")));
    int num_apart = 0;
    int num_together = 0;
    for (const auto& [name, file] : index["weight_map"].items()) {
        if (!name.ends_with("_scale_inv")) continue;
        const std::string weight = name.substr(0, name.size() - std::strlen("_scale_inv"));
        ++(index["weight_map"][weight] == file ? num_together : num_apart);
    }
    EXPECT_GT(num_apart, 0);
    EXPECT_GT(num_together, 0);
}

TEST(Checkpoint, NamesFileTensorExpectedAndFoundShape) {
    const SmallModel model(small_config(), 1, 1);
    nlohmann::json config = small_config();
    config["kv_lora_rank"] = 60;
    write_file(model.file("config.json"), config.dump());
    expect_corrupt(model,
                   {"model.safetensors: tensor model.layers.0.self_attn.kv_a_proj_with_mqa.weight",
                    "expected F8_E4M3 [76, 128]", "found F8_E4M3 [80, 128]"});
}

TEST(Checkpoint, NamesFileTensorExpectedAndFoundType) {
    const SmallModel model(small_config(), 1, 1);
    patch_file(model.file("model.safetensors"), R"("model.norm.weight":{"dtype":"BF16")",
               R"("model.norm.weight":{"dtype":"I16" )");
    expect_corrupt(
        model, {"tensor model.norm.weight", "expected BF16, F16 or F32 [128]", "found I16 [128]"});
}

TEST(Checkpoint, AMissingTensorIsNamed) {
    const SmallModel model(small_config(), 1, 1);
    patch_file(model.file("model.safetensors"), R"("lm_head.weight")", R"("lm_haed.weight")");
    expect_corrupt(
        model, {"tensor lm_head.weight", "expected BF16, F16 or F32 [300, 128]", "found nothing"});
}

TEST(Checkpoint, ATensorWithoutAPlaceIsNamed) {
    const SmallModel model(small_config(), 1, 1);
    nlohmann::json config = small_config();
    config["q_lora_rank"] = nullptr;
    write_file(model.file("config.json"), config.dump());
    EXPECT_FALSE(check_checkpoint(model.dir()));
    patch_file(model.file("model.safetensors"), R"("model.layers.2.enorm.weight")",
               R"("model.layers.1.enorm.weight")");
    write_file(model.file("config.json"), small_config().dump());
    expect_corrupt(model, {"tensor model.layers.1.enorm.weight", "no place for it"});
}

TEST(Checkpoint, LayersBeyondTheMainOnesMayBeMissingButNotWrong) {
    const SmallModel model(small_config(), 1, 1);
    patch_file(model.file("model.safetensors"), R"("model.layers.2.enorm.weight")",
               R"("model.layers.2.other.weight")");
    EXPECT_TRUE(check_checkpoint(model.dir()));
    patch_file(model.file("model.safetensors"),
               R"("model.layers.2.hnorm.weight":{"dtype":"BF16","shape":[128])",
               R"("model.layers.2.hnorm.weight":{"dtype":"BF16","shape":[2,64)");
    EXPECT_FALSE(check_checkpoint(model.dir()));
}

TEST(Checkpoint, ATruncatedShardIsNamed) {
    const SmallModel model;
    const std::string shard = model.file("model-00002-of-000003.safetensors");
    std::filesystem::resize_file(shard, std::filesystem::file_size(shard) - 1);
    expect_corrupt(model, {"model-00002-of-000003.safetensors", "is the file complete"});
}

TEST(Checkpoint, AMissingShardIsNamed) {
    const SmallModel model;
    std::filesystem::remove(model.file("model-00003-of-000003.safetensors"));
    const Status status = check_checkpoint(model.dir());
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kIo);
    EXPECT_NE(status.error().message.find("model-00003-of-000003"), std::string::npos);
}

TEST(Checkpoint, TheIndexCannotLeadElsewhere) {
    const SmallModel model;
    const std::string path = model.file("model.safetensors.index.json");
    for (const char* name :
         {"../model/model-00001-of-000003.safetensors", "/etc/passwd", "", ".."}) {
        auto index = nlohmann::json::parse(read_file(path));
        index["weight_map"]["lm_head.weight"] = name;
        write_file(path, index.dump());
        expect_corrupt(model, {"weight_map: lm_head.weight: expected a file name"});
    }
}

TEST(Checkpoint, TheIndexMayNotPromiseWhatAFileLacks) {
    const SmallModel model;
    const std::string path = model.file("model.safetensors.index.json");
    auto index = nlohmann::json::parse(read_file(path));
    const std::string right = index["weight_map"]["lm_head.weight"];
    index["weight_map"]["lm_head.weight"] = right == "model-00001-of-000003.safetensors"
                                                ? "model-00002-of-000003.safetensors"
                                                : "model-00001-of-000003.safetensors";
    write_file(path, index.dump());
    expect_corrupt(model, {"tensor lm_head.weight", "the file does not hold it"});
}

TEST(Checkpoint, ABrokenIndexIsNamed) {
    const SmallModel model;
    const std::string deep(100, '[');
    for (const char* text :
         {"", "{}", "[]", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})", deep.c_str()}) {
        write_file(model.file("model.safetensors.index.json"), text);
        expect_corrupt(model, {"model.safetensors.index.json"});
    }
}

TEST(Checkpoint, AnEmptyFolderSaysWhatIsExpected) {
    const test::TempDir temp;
    write_file((temp.path() / "config.json").string(), small_config().dump());
    const Status status = check_checkpoint(temp.path().string());
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
    EXPECT_NE(status.error().message.find("model.safetensors.index.json"), std::string::npos);
}

TEST(Checkpoint, AMessageIsShortWhateverTheIndexNames) {
    const SmallModel model;
    const std::string lengthy(5000, 'x');
    for (const auto& [tensor, file] : {std::pair<std::string, std::string>{lengthy, "../f"},
                                       std::pair<std::string, std::string>{"t", lengthy}}) {
        const nlohmann::json index{{"weight_map", {{tensor, file}}}};
        write_file(model.file("model.safetensors.index.json"), index.dump());
        const auto checkpoint = Checkpoint::open(model.dir());
        ASSERT_FALSE(checkpoint);
        EXPECT_EQ(checkpoint.error().code, ErrorCode::kCorrupt);
        EXPECT_LT(checkpoint.error().message.size(), 500U);
    }
}

}  // namespace
}  // namespace turnpike::engine
