// The safetensors header: what is read, and that every way to break it is refused before it is
// followed.
#include "engine/model/safetensors.h"

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "tests/support/random.h"
#include "tests/support/small_model.h"

namespace turnpike::engine {
namespace {

std::string file_with(const std::string& header, std::size_t data_bytes) {
    std::string file;
    for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
    return file + header + std::string(data_bytes, '\x11');
}

Result<SafetensorsHeader> parse(const std::string& file) {
    return parse_safetensors_header(std::as_bytes(std::span(file)), "weights");
}

constexpr const char* kGood =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"F8_E4M3","shape":[5],"data_offsets":[24,29]}})";

TEST(Safetensors, ReadsNamesTypesShapesAndPlaces) {
    const auto header = parse(file_with(kGood, 29));
    ASSERT_TRUE(header) << header.error().message;
    ASSERT_EQ(header->tensors.size(), 2U);
    const StoredTensor& a = header->tensors.at("a");
    EXPECT_EQ(a.dtype, "F32");
    EXPECT_EQ(a.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(header->tensors.at("b").begin, 24U);
    EXPECT_EQ(header->tensors.at("b").end, 29U);
}

struct Broken {
    const char* name;
    std::string file;
    const char* message;  // part of the error
};

std::string one_tensor(const std::string& dtype,
                       const std::string& shape,
                       const std::string& offsets) {
    return R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
           "}}";
}

std::vector<Broken> broken_files() {
    std::string huge = file_with(kGood, 29);
    for (std::size_t i = 0; i < 8; ++i) huge[i] = '\xFF';
    const std::string deep(100'000, '[');
    return {
        {"Empty", "", "too short"},
        {"SevenBytes", "1234567", "too short"},
        {"HeaderBeyondTheFile", file_with(kGood, 0).substr(0, 40), "is it complete"},
        {"HugeHeaderLength", huge, "is it complete"},
        {"NoJson", file_with("{", 0), "no JSON object"},
        {"NotAnObject", file_with("[]", 0), "no JSON object"},
        {"Deep", file_with(deep, 0), "nested too deeply"},
        {"DeepInATensor", file_with(R"({"a":{"shape":[[[[1]]]]}})", 0), "nested too deeply"},
        {"BracketsInNamesAreNoNesting",
         file_with(R"({"[[[[\"[[[[":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}})", 2),
         "need 1 bytes"},
        {"TruncatedData", file_with(kGood, 28), "is the file complete"},
        {"TrailingData", file_with(kGood, 30), "the tensors end at 29"},
        {"GivenTwice",
         file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                   1),
         "given twice"},
        {"Overlap",
         file_with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                   6),
         "overlaps"},
        {"SamePlace",
         file_with(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
                   4),
         "overlaps"},
        {"Hole",
         file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                   R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                   3),
         "hole"},
        {"UnknownType", file_with(one_tensor(R"("F4")", "[1]", "[0,1]"), 1), "unknown dtype F4"},
        {"TypeIsNumber", file_with(one_tensor("4", "[1]", "[0,1]"), 1), "expected dtype"},
        {"NoShape", file_with(R"({"t":{"dtype":"U8","data_offsets":[0,1]}})", 1), "expected dtype"},
        {"TensorIsText", file_with(R"({"t":"x"})", 0), "expected dtype"},
        {"OneOffset", file_with(one_tensor(R"("U8")", "[1]", "[0]"), 1), "expected dtype"},
        {"NegativeDimension", file_with(one_tensor(R"("U8")", "[-1]", "[0,1]"), 1), "no size"},
        {"FractionalDimension", file_with(one_tensor(R"("U8")", "[1.0]", "[0,1]"), 1), "no size"},
        {"OverflowingShape",
         file_with(one_tensor(R"("F32")", "[4294967296,4294967296]", "[0,0]"), 0), "no size"},
        {"HugeDimension", file_with(one_tensor(R"("U8")", "[18446744073709551615,0]", "[0,0]"), 0),
         "no size"},
        {"ManyDimensions", file_with(one_tensor(R"("U8")", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1),
         "8 dimensions"},
        {"OffsetsReversed", file_with(one_tensor(R"("U8")", "[1]", "[1,0]"), 1),
         "do not lie within"},
        {"OffsetBeyond",
         file_with(one_tensor(R"("U8")", "[1]", "[18446744073709551614,18446744073709551615]"), 1),
         "do not lie within"},
        {"NegativeOffset", file_with(one_tensor(R"("U8")", "[1]", "[-1,0]"), 1),
         "do not lie within"},
        {"WrongSize", file_with(one_tensor(R"("F32")", "[2]", "[0,4]"), 4), "need 8 bytes"},
    };
}

TEST(Safetensors, RefusesEveryBrokenHeader) {
    for (const Broken& broken : broken_files()) {
        const auto header = parse(broken.file);
        ASSERT_FALSE(header) << broken.name;
        EXPECT_EQ(header.error().code, ErrorCode::kCorrupt) << broken.name;
        EXPECT_NE(header.error().message.find("weights"), std::string::npos) << broken.name;
        EXPECT_NE(header.error().message.find(broken.message), std::string::npos)
            << broken.name << ": " << header.error().message;
    }
}

// Whatever is flipped, the answer is an error or a header whose offsets lie within the file.
TEST(Safetensors, SurvivesFlippedBytes) {
    test::SeededRandom random(20260101);
    SCOPED_TRACE(random.replay());
    const std::string good = file_with(kGood, 29);
    for (int round = 0; round < 5000; ++round) {
        std::string file = good;
        for (std::int64_t flips = random.between(1, 4); flips > 0; --flips) {
            const auto at = random.between(0, static_cast<std::int64_t>(file.size()) - 1);
            file[static_cast<std::size_t>(at)] = static_cast<char>(random.between(0, 255));
        }
        file.resize(static_cast<std::size_t>(
            random.between(0, 3) == 0 ? random.between(0, static_cast<std::int64_t>(file.size()))
                                      : static_cast<std::int64_t>(file.size())));
        const auto header = parse(file);
        if (!header) continue;
        for (const auto& [name, tensor] : header->tensors) {
            ASSERT_LE(tensor.begin, tensor.end);
            ASSERT_LE(header->data_offset + tensor.end, file.size());
        }
    }
}

TEST(SafetensorsFile, MapsTheData) {
    const test::TempDir temp;
    const std::string path = (temp.path() / "x.safetensors").string();
    write_file(path, file_with(kGood, 29));
    const auto file = SafetensorsFile::open(path);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(std::to_integer<int>(file->data(file->tensors().at("b"))[4]), 0x11);
}

TEST(SafetensorsFile, RefusesWhatIsNoFile) {
    const test::TempDir temp;
    EXPECT_EQ(SafetensorsFile::open("/nonexistent/x").error().code, ErrorCode::kIo);
    EXPECT_EQ(SafetensorsFile::open(temp.path().string()).error().code, ErrorCode::kCorrupt);
    const std::string path = (temp.path() / "empty").string();
    write_file(path, "");
    EXPECT_EQ(SafetensorsFile::open(path).error().code, ErrorCode::kCorrupt);
}

TEST(Safetensors, AMessageIsShortWhateverTheName) {
    const std::string name(5000, 'n');
    const std::string tensor = R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
    for (const std::string& header :
         {"{\"" + name + R"(":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}})",
          "{\"" + name + tensor + ",\"" + name + tensor + "}",
          "{\"a" + tensor + ",\"" + name + tensor + "}"}) {
        const auto parsed = parse(file_with(header, 1));
        ASSERT_FALSE(parsed);
        EXPECT_LT(parsed.error().message.size(), 300U);
    }
}

}  // namespace
}  // namespace turnpike::engine
