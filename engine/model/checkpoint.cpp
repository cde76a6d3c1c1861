// See checkpoint.h.
#include "engine/model/checkpoint.h"

#include <charconv>
#include <climits>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "config/base/check.h"
#include "engine/model/json_reader.h"

namespace turnpike::engine {
namespace {

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kSingleName = "model.safetensors";
constexpr std::uint64_t kMaxIndexBytes = 256 << 20;  // 92,000 tensors take 9 MB
constexpr int kMaxIndexDepth = 8;

Error corrupt(const std::string& message) {
    return Error{ErrorCode::kCorrupt, message, {}};
}

// A file beside the index, never a path out of the folder.
bool is_plain_file_name(const std::string& name) {
    return !name.empty() && name.size() <= NAME_MAX && name.front() != '.' &&
           name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

std::optional<kernels::DType> dtype_of(std::string_view name) {
    for (const auto dtype : {kernels::DType::kF32, kernels::DType::kBf16, kernels::DType::kF16,
                             kernels::DType::kF8E4M3}) {
        if (name == to_string(dtype)) return dtype;
    }
    return std::nullopt;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
    std::string text = "[";
    for (const std::int64_t dim : shape) {
        if (text.size() > 1) text += ", ";
        text += std::to_string(dim);
    }
    return text + "]";
}

std::string expected_text(const TensorSpec& spec) {
    std::vector<std::string> names{to_string(preferred_dtype(spec.kind))};
    for (const auto dtype : {kernels::DType::kBf16, kernels::DType::kF16, kernels::DType::kF32}) {
        if (dtype != preferred_dtype(spec.kind) && allows(spec.kind, dtype)) {
            names.emplace_back(to_string(dtype));
        }
    }
    std::string text = names.front();
    for (std::size_t i = 1; i < names.size(); ++i) {
        text += (i + 1 < names.size() ? ", " : " or ") + names[i];
    }
    return text + " " + shape_text(spec.shape);
}

// Layers that are not run, and tables that older exports store although they follow from the
// config.
bool is_ignorable(std::string_view name, std::int64_t first_ignored_layer) {
    if (name.ends_with("rotary_emb.inv_freq")) return true;
    constexpr std::string_view kPrefix = "model.layers.";
    if (!name.starts_with(kPrefix)) return false;
    const std::string_view rest = name.substr(kPrefix.size());
    std::int64_t layer = -1;
    const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
    return parsed.ec == std::errc{} && layer >= first_ignored_layer;
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& dir) {
    Checkpoint checkpoint;
    auto index = read_text_file(dir + "/" + kIndexName, kMaxIndexBytes);
    if (index) {
        RETURN_IF_ERROR(checkpoint.add_indexed_files(dir, *index));
        return checkpoint;
    }
    if (index.error().code != ErrorCode::kNotFound) return index.error();
    const std::string single = dir + "/" + kSingleName;
    if (!std::filesystem::exists(single)) {
        return Error{ErrorCode::kNotFound,
                     dir + ": expected " + kIndexName + " or " + kSingleName + ", found neither",
                     {}};
    }
    RETURN_IF_ERROR(checkpoint.add_single_file(single));
    return checkpoint;
}

Status Checkpoint::add_single_file(const std::string& path) {
    auto file = SafetensorsFile::open(path);
    if (!file) return file.error();
    files_.push_back(std::move(*file));
    for (const auto& [name, tensor] : files_.front().tensors()) places_[name] = {0, &tensor};
    return {};
}

Status Checkpoint::add_indexed_files(const std::string& dir, std::string_view index_text) {
    const std::string index_path = dir + "/" + kIndexName;
    if (is_nested_deeper(index_text, kMaxIndexDepth)) {
        return corrupt(index_path + ": nested too deeply");
    }
    const auto json = nlohmann::json::parse(index_text, nullptr, false);
    if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
        return corrupt(index_path + ": expected a JSON object with a weight_map");
    }
    std::map<std::string, std::size_t> file_indexes;
    for (const auto& [name, item] : json["weight_map"].items()) {
        if (!item.is_string() || !is_plain_file_name(item.get<std::string>())) {
            return corrupt(index_path + ": weight_map: " + excerpt(name) +
                           ": expected a file name");
        }
        const auto file_name = item.get<std::string>();
        if (!file_indexes.contains(file_name)) {
            auto file = SafetensorsFile::open(dir + "/" + file_name);
            if (!file) return file.error();
            file_indexes[file_name] = files_.size();
            files_.push_back(std::move(*file));
        }
        const std::size_t file_index = file_indexes[file_name];
        const auto& tensors = files_[file_index].tensors();
        const auto found = tensors.find(name);
        if (found == tensors.end()) {
            return corrupt(files_[file_index].path() + ": tensor " + excerpt(name) +
                           ": the index places it here, the file does not hold it");
        }
        places_[name] = {file_index, &found->second};
    }
    return {};
}

Status Checkpoint::check_tensor(const TensorSpec& spec, const Place& place) const {
    const StoredTensor& tensor = *place.tensor;
    const auto dtype = dtype_of(tensor.dtype);
    if (dtype && allows(spec.kind, *dtype) && tensor.shape == spec.shape) return {};
    return corrupt(files_[place.file_index].path() + ": tensor " + spec.name + ": expected " +
                   expected_text(spec) + ", found " + tensor.dtype + " " +
                   shape_text(tensor.shape));
}

Status Checkpoint::check(const std::vector<TensorSpec>& plan,
                         std::int64_t first_ignored_layer) const {
    std::set<std::string_view> planned;
    for (const TensorSpec& spec : plan) {
        planned.insert(spec.name);
        const auto place = places_.find(spec.name);
        if (place != places_.end()) {
            RETURN_IF_ERROR(check_tensor(spec, place->second));
        } else if (spec.is_required) {
            const std::string where = files_.empty() ? "the checkpoint" : files_.front().path();
            return corrupt(where + " and its sister files: tensor " + spec.name + ": expected " +
                           expected_text(spec) + ", found nothing");
        }
    }
    for (const auto& [name, place] : places_) {
        if (planned.contains(name) || is_ignorable(name, first_ignored_layer)) continue;
        return corrupt(files_[place.file_index].path() + ": tensor " + excerpt(name) +
                       ": the config has no place for it");
    }
    return {};
}

kernels::WeightSource Checkpoint::weight(const std::string& name) const {
    const auto place = places_.find(name);
    CHECK(place != places_.end());
    const StoredTensor& tensor = *place->second.tensor;
    const auto dtype = dtype_of(tensor.dtype);
    CHECK(dtype.has_value() && (tensor.shape.size() == 1 || tensor.shape.size() == 2));
    kernels::WeightSource source;
    source.name = name;
    source.data = files_[place->second.file_index].data(tensor);
    source.dtype = *dtype;
    source.rows = tensor.shape.size() == 2 ? tensor.shape[0] : 1;
    source.cols = tensor.shape.back();
    if (*dtype == kernels::DType::kF8E4M3) {
        const auto scales = places_.find(scale_name(name));
        CHECK(scales != places_.end());
        source.scales = files_[scales->second.file_index].data(*scales->second.tensor);
    }
    return source;
}

}  // namespace turnpike::engine
