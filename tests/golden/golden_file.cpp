// See golden_file.h.
#include "tests/golden/golden_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "engine/model/make_backend.h"
#include "engine/model/synth.h"
#include "kernels/api/cpu.h"

namespace turnpike::engine {
namespace {

std::string stem_of(const std::string& name) {
    // Where the tests run on another host than they were built on.
    const char* const moved = std::getenv("TURNPIKE_SOURCE_DIR");
    return std::string(moved != nullptr ? moved : TURNPIKE_SOURCE_DIR) + "/tests/golden/data/" +
           name;
}

nlohmann::json read_about(const std::string& name) {
    std::ifstream file(stem_of(name) + ".json");
    EXPECT_TRUE(file) << name;
    return nlohmann::json::parse(file);
}

// Little-endian values one after another.
class DataFile {
  public:
    explicit DataFile(const std::string& name) : file_(stem_of(name) + ".bin", std::ios::binary) {}

    template <class T>
    std::vector<T> take(std::size_t count) {
        std::vector<T> values(count);
        const auto bytes = static_cast<std::streamsize>(count * sizeof(T));
        file_.read(reinterpret_cast<char*>(values.data()), bytes);
        EXPECT_EQ(file_.gcount(), bytes);
        return values;
    }

    void expect_end() { EXPECT_EQ(file_.peek(), std::ifstream::traits_type::eof()); }

  private:
    std::ifstream file_;
};

}  // namespace

Golden load_golden(const std::string& name) {
    Golden golden;
    golden.about = read_about(name);
    golden.tokens = golden.about["tokens"].get<std::vector<TokenId>>();
    golden.rows = golden.about["shape"][0].get<std::size_t>();
    golden.first_row = golden.about["first_row"].get<std::size_t>();
    golden.vocab = golden.about["shape"][1].get<std::size_t>();
    golden.deviation = golden.about["deviation"].get<double>();
    golden.tolerance = golden.about["tolerance"].get<double>();
    golden.is_draft = golden.about.value("quantity", "logits") == "draft";
    golden.is_quantised = golden.about.value("numerics", "w8a16") == "w8a8_block";
    DataFile file(name);
    golden.logits = file.take<float>(golden.rows * golden.vocab);
    file.expect_end();
    return golden;
}

GoldenLayers load_golden_layers(const std::string& name, const Golden& golden) {
    const nlohmann::json about = read_about(name + "_layers");
    GoldenLayers layers;
    layers.rows = about["rows"].get<std::vector<std::size_t>>();
    layers.deviations = about["deviations"].get<std::vector<double>>();
    layers.width = golden.about["config"]["hidden_size"].get<std::size_t>();
    layers.num_chosen = about["num_chosen"].get<std::size_t>();
    layers.tolerance = about["tolerance"].get<double>();
    const auto num_moe_layers = about["num_moe_layers"].get<std::size_t>();
    const std::size_t num_choices = golden.tokens.size() * layers.num_chosen;
    DataFile file(name + "_layers");
    for (std::size_t i = 0; i < layers.deviations.size(); ++i) {
        layers.hidden.push_back(file.take<float>(layers.rows.size() * layers.width));
    }
    for (std::size_t i = 0; i < num_moe_layers; ++i) {
        layers.experts.push_back(file.take<std::int32_t>(num_choices));
    }
    for (std::size_t i = 0; i < num_moe_layers; ++i) {
        layers.weights.push_back(file.take<float>(num_choices));
    }
    for (std::size_t i = 0; i < num_moe_layers; ++i) {
        layers.gaps.push_back(file.take<float>(golden.tokens.size()));
    }
    file.expect_end();
    return layers;
}

Result<RunnerOptions> make_golden_model(const Golden& golden, const test::TempDir& temp) {
    std::ofstream(temp.file("in.json")) << golden.about["config"].dump();
    SynthOptions synth;
    synth.config_path = temp.file("in.json");
    synth.seed = golden.about["seed"].get<std::uint64_t>();
    synth.out_dir = temp.file("model");
    RETURN_IF_ERROR(synthesize_checkpoint(synth));
    RunnerOptions options;
    options.model_dir = temp.file("model");
    options.isa = "scalar";
    if (golden.is_quantised) options.numerics = schema::Numerics::kW8A8Block;
    return options;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    EXPECT_EQ(a.size(), b.size());
    double largest = 0.0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
        // A NaN compares false with everything, and must not pass.
        if (!(difference <= largest)) largest = difference;
    }
    return largest;
}

double median_row_difference(const std::vector<float>& a,
                             const std::vector<float>& b,
                             std::size_t width) {
    std::vector<double> rows;
    for (std::size_t start = 0; start + width <= std::min(a.size(), b.size()); start += width) {
        double sum = 0.0;
        for (std::size_t i = start; i < start + width; ++i) {
            sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
        }
        rows.push_back(std::sqrt(sum / static_cast<double>(width)));
    }
    std::sort(rows.begin(), rows.end());
    return rows.empty() ? std::nan("") : rows[rows.size() / 2];
}

std::vector<std::string> fast_instruction_sets() {
    std::vector<std::string> found;
    for (const std::string isa : {"avx2", "avx512", "avx512-bf16"}) {
        if (kernels::choose_cpu_isa(isa)) found.push_back(isa);
    }
    if (has_cuda_device()) found.push_back(kCudaName);
    return found;
}

bool rounds_to_bf16(const std::string& isa) {
    return isa == "avx512-bf16" || isa == kCudaName;
}

}  // namespace turnpike::engine
