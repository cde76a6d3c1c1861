// Reading of wire objects without exceptions.
#include "controlplane/api/json_fields.h"

#include <limits>
#include <utility>

namespace turnpike::controlplane {

using nlohmann::json;

namespace {

constexpr std::uint64_t kMaxInteger = std::numeric_limits<std::int64_t>::max();

}  // namespace

JsonFields::JsonFields(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail(std::string("expected an object, found ") + object.type_name());
}

void JsonFields::fail(const std::string& message) {
    if (!error_) error_ = Error{ErrorCode::kCorrupt, where_ + ": " + message, {}};
}

const json* JsonFields::find(const char* key,
                             bool (json::*is_type)() const noexcept,
                             const char* expected) {
    if (!object_.is_object()) return nullptr;
    const auto entry = object_.find(key);
    if (entry == object_.end()) {
        fail(std::string("'") + key + "' is missing");
        return nullptr;
    }
    if (!((*entry).*is_type)()) {
        fail(std::string("'") + key + "' expected " + expected + ", found " + entry->type_name());
        return nullptr;
    }
    return &*entry;
}

std::string JsonFields::text(const char* key) {
    const json* value = find(key, &json::is_string, "text");
    return value == nullptr ? std::string() : value->get<std::string>();
}

std::int64_t JsonFields::integer(const char* key) {
    const json* value = find(key, &json::is_number_integer, "an integer");
    if (value == nullptr) return 0;
    if (value->is_number_unsigned() && value->get<std::uint64_t>() > kMaxInteger) {
        fail(std::string("'") + key + "' is beyond 64 bits with sign");
        return 0;
    }
    return value->get<std::int64_t>();
}

std::int64_t JsonFields::integer(const char* key, std::int64_t low, std::int64_t high) {
    const std::int64_t value = integer(key);
    if (value >= low && value <= high) return value;
    fail(std::string("'") + key + "' expected " + std::to_string(low) + " to " +
         std::to_string(high) + ", found " + std::to_string(value));
    return low;
}

bool JsonFields::boolean(const char* key) {
    const json* value = find(key, &json::is_boolean, "true or false");
    return value != nullptr && value->get<bool>();
}

std::optional<std::string> JsonFields::optional_text(const char* key) {
    if (!object_.is_object() || !object_.contains(key) || object_.at(key).is_null()) return {};
    return text(key);
}

std::optional<std::int64_t> JsonFields::optional_integer(const char* key) {
    if (!object_.is_object() || !object_.contains(key) || object_.at(key).is_null()) return {};
    return integer(key);
}

const json& JsonFields::object(const char* key) {
    static const json kEmpty = json::object();
    const json* value = find(key, &json::is_object, "an object");
    return value == nullptr ? kEmpty : *value;
}

const json& JsonFields::array(const char* key) {
    static const json kEmpty = json::array();
    const json* value = find(key, &json::is_array, "an array");
    return value == nullptr ? kEmpty : *value;
}

Status JsonFields::finish() const {
    if (error_) return *error_;
    return {};
}

std::string write_json(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<json> parse_object(std::string_view text, const std::string& where) {
    json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (value.is_discarded() || !value.is_object()) {
        return Error{ErrorCode::kCorrupt, where + ": expected a JSON object", {}};
    }
    return value;
}

}  // namespace turnpike::controlplane
