// See json_reader.h.
#include "engine/model/json_reader.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

namespace turnpike::engine {
namespace {

// Short enough for a message, whatever a stranger's file holds.
std::string shown(const nlohmann::json& value) {
    const std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    return excerpt(text);
}

}  // namespace

JsonReader::JsonReader(const nlohmann::json& object, std::string where, Status& status)
    : object_(object), where_(std::move(where)), status_(status) {}

const nlohmann::json* JsonReader::find(std::string_view key) const {
    if (!object_.is_object()) return nullptr;
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
}

const nlohmann::json* JsonReader::require(std::string_view key, std::string_view type) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) fail(key, "expected " + std::string(type) + ", found nothing");
    return value;
}

bool JsonReader::has(std::string_view key) const {
    return find(key) != nullptr;
}

void JsonReader::fail(std::string_view key, const std::string& problem) {
    if (!status_) return;
    status_ = invalid_argument(where_ + ": " + std::string(key) + ": " + problem, std::string(key));
}

std::int64_t JsonReader::integer(std::string_view key, std::int64_t min, std::int64_t max) {
    const nlohmann::json* value = require(key, "an integer");
    if (value == nullptr) return min;
    double number = std::numeric_limits<double>::quiet_NaN();
    if (value->is_number()) number = value->get<double>();
    const bool is_whole = std::isfinite(number) && std::floor(number) == number;
    if (!is_whole || number < static_cast<double>(min) || number > static_cast<double>(max)) {
        fail(key, "expected an integer from " + std::to_string(min) + " to " + std::to_string(max) +
                      ", found " + shown(*value));
        return min;
    }
    return static_cast<std::int64_t>(number);
}

double JsonReader::number(std::string_view key) {
    const nlohmann::json* value = require(key, "a number");
    if (value == nullptr) return 0.0;
    if (!value->is_number() || !std::isfinite(value->get<double>())) {
        fail(key, "expected a number, found " + shown(*value));
        return 0.0;
    }
    return value->get<double>();
}

float JsonReader::positive(std::string_view key) {
    const double wide = number(key);
    const auto value = static_cast<float>(wide);
    if (!(value > 0.0F) || !std::isfinite(value)) {
        fail(key, "expected a number over 0 that fits 32 bits, found " + std::to_string(wide));
        return 1.0F;
    }
    return value;
}

bool JsonReader::boolean(std::string_view key, bool fallback) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) {
        fail(key, "expected true or false, found " + shown(*value));
        return fallback;
    }
    return value->get<bool>();
}

std::string JsonReader::text(std::string_view key) {
    const nlohmann::json* value = require(key, "a string");
    if (value == nullptr) return {};
    if (!value->is_string()) {
        fail(key, "expected a string, found " + shown(*value));
        return {};
    }
    return value->get<std::string>();
}

std::vector<std::string> JsonReader::texts(std::string_view key) {
    std::vector<std::string> all;
    const nlohmann::json* value = require(key, "an array of strings");
    if (value == nullptr) return all;
    const bool is_right =
        value->is_array() && std::all_of(value->begin(), value->end(),
                                         [](const auto& item) { return item.is_string(); });
    if (is_right)
        all = value->get<std::vector<std::string>>();
    else
        fail(key, "expected an array of strings, found " + shown(*value));
    return all;
}

JsonReader JsonReader::section(std::string_view key) {
    const nlohmann::json* value = require(key, "an object");
    if (value != nullptr && !value->is_object()) {
        fail(key, "expected an object, found " + shown(*value));
    }
    return {value == nullptr ? object_ : *value, where_ + ": " + std::string(key), status_};
}

void JsonReader::expect(std::string_view key, const nlohmann::json& wanted) {
    const nlohmann::json* value = find(key);
    if (value == nullptr || *value == wanted) return;
    fail(key, "this engine supports " + shown(wanted) + " only, found " + shown(*value));
}

void JsonReader::expect_each(std::string_view key, const nlohmann::json& wanted) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return;
    const bool is_all = value->is_array() &&
                        std::all_of(value->begin(), value->end(),
                                    [&](const nlohmann::json& item) { return item == wanted; });
    if (is_all) return;
    fail(key, "this engine supports a list of " + shown(wanted) + " only, found " + shown(*value));
}

bool is_nested_deeper(std::string_view json_text, int max_depth) {
    int depth = 0;
    bool is_in_string = false;
    for (std::size_t i = 0; i < json_text.size(); ++i) {
        const char c = json_text[i];
        if (is_in_string) {
            if (c == '\\') ++i;  // the escaped character
            if (c == '"') is_in_string = false;
        } else if (c == '"') {
            is_in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth) return true;
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

Result<nlohmann::json> parse_config_object(std::string_view json_text,
                                           const std::string& file_name) {
    constexpr int kMaxDepth = 16;
    auto json = is_nested_deeper(json_text, kMaxDepth)
                    ? nlohmann::json()
                    : nlohmann::json::parse(json_text, nullptr, false);
    if (!json.is_object()) {
        return Error{ErrorCode::kCorrupt, file_name + ": expected a JSON object", {}};
    }
    return json;
}

Result<std::string> read_text_file(const std::string& path, std::uint64_t max_bytes) {
    std::error_code code;
    const std::uint64_t size = std::filesystem::file_size(path, code);
    if (code) {
        const bool is_missing = code == std::errc::no_such_file_or_directory;
        return Error{
            is_missing ? ErrorCode::kNotFound : ErrorCode::kIo, path + ": " + code.message(), {}};
    }
    if (size > max_bytes) {
        return Error{ErrorCode::kTooLarge,
                     path + ": expected at most " + std::to_string(max_bytes) + " bytes, found " +
                         std::to_string(size),
                     {}};
    }
    std::ifstream file(path, std::ios::binary);
    std::string text(size, '\0');
    file.read(text.data(), static_cast<std::streamsize>(size));
    if (!file || static_cast<std::uint64_t>(file.gcount()) != size) {
        return Error{ErrorCode::kIo, path + ": cannot be read", {}};
    }
    return text;
}

}  // namespace turnpike::engine
