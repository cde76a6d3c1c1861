// See synth.h. Tensors are made and written one at a time, so a checkpoint may be larger than the
// memory.
#include "engine/model/synth.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "engine/model/blueprint.h"
#include "engine/model/json_reader.h"
#include "engine/model/synth_values.h"
#include "engine/model/tensor_plan.h"

namespace turnpike::engine {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
constexpr int kMaxShards = 1000;
constexpr std::size_t kHeaderAlignment = 8;

struct Shard {
    std::string file_name;
    std::vector<const TensorSpec*> tensors;
};

std::string shard_name(int index, int count) {
    if (count == 1) return "model.safetensors";
    char name[64];
    std::snprintf(name, sizeof name, "model-%05d-of-%06d.safetensors", index + 1, count);
    return name;
}

// In the order of the plan, about equally many bytes each. Every third scale goes to the next
// shard, as real checkpoints also part weights from their scales.
std::vector<Shard> assign_shards(const std::vector<TensorSpec>& plan, int count) {
    std::vector<Shard> shards(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        shards[static_cast<std::size_t>(i)].file_name = shard_name(i, count);
    std::uint64_t total = 0;
    for (const TensorSpec& spec : plan) total += stored_bytes(spec);
    std::uint64_t written = 0;
    std::size_t num_scales = 0;
    for (const TensorSpec& spec : plan) {
        auto index = static_cast<std::size_t>(written * static_cast<std::uint64_t>(count) / total);
        if (spec.kind == TensorKind::kScale && num_scales++ % 3 == 0) ++index;
        shards[index % shards.size()].tensors.push_back(&spec);
        written += stored_bytes(spec);
    }
    // Widest elements first, so that every tensor is aligned to its own element.
    for (Shard& shard : shards) {
        std::stable_sort(shard.tensors.begin(), shard.tensors.end(),
                         [](const auto* a, const auto* b) {
                             return dtype_bytes(preferred_dtype(a->kind)) >
                                    dtype_bytes(preferred_dtype(b->kind));
                         });
    }
    return shards;
}

std::string header_text(const Shard& shard) {
    nlohmann::ordered_json header;
    header["__metadata__"]["format"] = "pt";
    std::uint64_t offset = 0;
    for (const TensorSpec* spec : shard.tensors) {
        const std::uint64_t end = offset + stored_bytes(*spec);
        header[spec->name] = {{"dtype", to_string(preferred_dtype(spec->kind))},
                              {"shape", spec->shape},
                              {"data_offsets", {offset, end}}};
        offset = end;
    }
    std::string text = header.dump();
    text.resize((text.size() + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment, ' ');
    return text;
}

// A file that appears under its name only when it is whole.
class NewFile {
  public:
    explicit NewFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".tmp") {
        stream_.open(temporary_, std::ios::binary | std::ios::trunc);
    }

    void write(std::span<const std::byte> bytes) {
        stream_.write(reinterpret_cast<const char*>(bytes.data()),
                      static_cast<std::streamsize>(bytes.size()));
    }

    void write(const std::string& text) { write(std::as_bytes(std::span(text))); }

    // Counts as zeros without writing them.
    void skip(std::uint64_t num_bytes) { num_skipped_ += num_bytes; }

    Status finish() {
        const auto written = static_cast<std::uint64_t>(stream_.tellp());
        stream_.close();
        if (!stream_) {
            return Error{ErrorCode::kIo, temporary_ + ": cannot be written; is the disk full?", {}};
        }
        std::error_code code;
        if (num_skipped_ > 0) {
            std::filesystem::resize_file(temporary_, written + num_skipped_, code);
            if (code) return Error{ErrorCode::kIo, temporary_ + ": " + code.message(), {}};
        }
        std::filesystem::rename(temporary_, path_, code);
        if (code) return Error{ErrorCode::kIo, path_ + ": " + code.message(), {}};
        return {};
    }

  private:
    std::string path_;
    std::string temporary_;
    std::ofstream stream_;
    std::uint64_t num_skipped_ = 0;  // after what was written
};

Status write_text(const std::string& path, const std::string& text) {
    NewFile file(path);
    file.write(text);
    return file.finish();
}

Status write_shard(const std::string& dir,
                   const Shard& shard,
                   const SynthContext& context,
                   bool is_sparse) {
    NewFile file(dir + "/" + shard.file_name);
    const std::string header = header_text(shard);
    const auto length = static_cast<std::uint64_t>(header.size());
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(header);
    for (const TensorSpec* spec : shard.tensors) {
        if (is_sparse) {
            file.skip(stored_bytes(*spec));
        } else {
            file.write(synth_tensor(context, *spec));
        }
    }
    return file.finish();
}

std::string index_text(const std::vector<Shard>& shards) {
    nlohmann::json index;
    std::uint64_t total = 0;
    for (const Shard& shard : shards) {
        for (const TensorSpec* spec : shard.tensors) {
            index["weight_map"][spec->name] = shard.file_name;
            total += stored_bytes(*spec);
        }
    }
    index["metadata"]["total_size"] = total;
    return index.dump(2) + "\n";
}

// The first FP8 tensor with a second block, to carry the all-zero one.
std::string_view tensor_with_zero_block(const std::vector<TensorSpec>& plan) {
    for (const TensorSpec& spec : plan) {
        if (spec.kind != TensorKind::kFp8Matrix) continue;
        if (spec.shape[0] > 128 || spec.shape[1] > 128) return spec.name;
    }
    return {};
}

}  // namespace

Status synthesize_checkpoint(const SynthOptions& options) {
    if (options.num_shards < 1 || options.num_shards > kMaxShards) {
        return invalid_argument("expected 1 to " + std::to_string(kMaxShards) + " shards, found " +
                                    std::to_string(options.num_shards),
                                "num_shards");
    }
    auto config_text = read_text_file(options.config_path, kMaxConfigBytes);
    if (!config_text) return config_text.error();
    auto blueprint = parse_blueprint(*config_text, options.config_path);
    if (!blueprint) return blueprint.error();
    std::error_code code;
    std::filesystem::create_directories(options.out_dir, code);
    if (code) return Error{ErrorCode::kIo, options.out_dir + ": " + code.message(), {}};

    const auto plan = (*blueprint)->tensors();
    const auto shards = assign_shards(plan, options.num_shards);
    const SynthContext context{options.seed, (*blueprint)->hidden_size(),
                               tensor_with_zero_block(plan)};
    // An index of an earlier run would point at shards that are gone or stale.
    const std::string index_path = options.out_dir + "/model.safetensors.index.json";
    std::filesystem::remove(index_path, code);
    if (code) return Error{ErrorCode::kIo, index_path + ": " + code.message(), {}};
    const auto json = nlohmann::ordered_json::parse(*config_text);
    RETURN_IF_ERROR(write_text(options.out_dir + "/config.json", json.dump(2) + "\n"));
    for (const Shard& shard : shards) {
        RETURN_IF_ERROR(write_shard(options.out_dir, shard, context, options.is_sparse));
    }
    if (options.num_shards == 1) return {};
    return write_text(index_path, index_text(shards));
}

}  // namespace turnpike::engine
