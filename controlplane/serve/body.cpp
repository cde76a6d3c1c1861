// Reading of bodies without exceptions.
#include "controlplane/serve/body.h"

#include <utility>

namespace turnpike::controlplane {

using nlohmann::json;

Result<Body> Body::parse(std::string_view text) {
    json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!object.is_object()) return invalid_argument("expected a JSON object as the body");
    return Body(std::move(object));
}

Body::Body(json object) : object_(std::move(object)) {}

const json* Body::find(const char* name) const {
    const auto it = object_.find(name);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
}

bool Body::has(const char* name) const {
    return find(name) != nullptr;
}

void Body::fail(const char* name, const std::string& expected) {
    if (!error_)
        error_ = invalid_argument("'" + std::string(name) + "': expected " + expected, name);
}

std::string Body::text(const char* name) {
    std::string value = text(name, "");
    if (value.empty()) fail(name, "text");
    return value;
}

std::string Body::text(const char* name, std::string fallback) {
    const json* value = find(name);
    if (value == nullptr) return fallback;
    if (value->is_string()) return value->get<std::string>();
    fail(name, "text");
    return fallback;
}

std::int64_t Body::count(const char* name) {
    const json* value = find(name);
    if (value != nullptr && value->is_number_unsigned() &&
        value->get<std::uint64_t>() <= std::uint64_t{1} << 53) {
        return value->get<std::int64_t>();
    }
    fail(name, "an integer of at least 0");
    return 0;
}

std::int64_t Body::count(const char* name, std::int64_t fallback) {
    return has(name) ? count(name) : fallback;
}

double Body::number(const char* name, double fallback) {
    const json* value = find(name);
    if (value == nullptr) return fallback;
    if (value->is_number() && value->get<double>() >= 0.0) return value->get<double>();
    fail(name, "a number of at least 0");
    return fallback;
}

std::vector<Body> Body::objects(const char* name) {
    std::vector<Body> bodies;
    const json* value = find(name);
    if (value == nullptr || !value->is_array()) {
        fail(name, "an array");
        return bodies;
    }
    for (const json& entry : *value) {
        if (!entry.is_object()) fail(name, "objects");
        bodies.emplace_back(entry.is_object() ? entry : json::object());
    }
    return bodies;
}

Status Body::finish() const {
    if (error_) return *error_;
    return {};
}

std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace turnpike::controlplane
