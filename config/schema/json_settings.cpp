#include "config/schema/json_settings.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "config/base/read_file.h"

namespace turnpike::schema {

using nlohmann::json;

namespace {

// The first error of a whole file, shared by every section taken from it.
struct FirstError {
    std::string file_name;
    std::optional<Error> error;

    void report(const std::string& full_path, const std::string& message) {
        if (error) return;
        const std::string path = excerpt(full_path, 200);
        error = invalid_argument(
            file_name + ": " + (path.empty() ? "" : "'" + path + "' ") + message, path);
    }
};

std::string join(const std::string& path, std::string_view key) {
    return path.empty() ? std::string(key) : path + "." + std::string(key);
}

}  // namespace

struct JsonSettings::Node {
    json object;
    std::string path;
    std::shared_ptr<FirstError> first_error;
    std::set<std::string, std::less<>> asked;
    std::vector<std::shared_ptr<Node>> sections;

    const json* find(std::string_view key) {
        asked.emplace(key);
        const auto entry = object.find(std::string(key));
        return entry == object.end() ? nullptr : &*entry;
    }

    // The value of `key` when it has the right type; else reports and returns the fallback or a
    // default.
    template <class T, class Accepts>
    T take(std::string_view key, std::optional<T> fallback, const char* expected, Accepts accepts) {
        const json* value = find(key);
        if (value != nullptr && accepts(*value)) return value->get<T>();
        if (value != nullptr) {
            first_error->report(join(path, key), std::string("expected ") + expected + ", found " +
                                                     value->type_name());
        } else if (!fallback) {
            first_error->report(join(path, key), std::string("is missing: expected ") + expected);
        }
        return fallback ? std::move(*fallback) : T();
    }

    void report_unknown_keys() const {
        for (const auto& item : object.items()) {
            if (!asked.contains(item.key()))
                first_error->report(join(path, item.key()), "is not a known setting");
        }
        for (const auto& section : sections) section->report_unknown_keys();
    }

    std::shared_ptr<Node> add_section(json section, std::string section_path) {
        auto node = std::make_shared<Node>();
        if (!section.is_object()) {
            first_error->report(section_path,
                                std::string("expected an object, found ") + section.type_name());
            section = json::object();
        }
        node->object = std::move(section);
        node->path = std::move(section_path);
        node->first_error = first_error;
        sections.push_back(node);
        return node;
    }
};

JsonSettings::JsonSettings(std::shared_ptr<Node> node) : node_(std::move(node)) {}

JsonSettings::~JsonSettings() = default;
JsonSettings::JsonSettings(JsonSettings&&) noexcept = default;
JsonSettings& JsonSettings::operator=(JsonSettings&&) noexcept = default;

Result<JsonSettings> JsonSettings::parse(std::string_view text, std::string file_name) {
    json object;
    try {
        object = json::parse(text, nullptr, /*allow_exceptions=*/true, /*ignore_comments=*/true);
    } catch (const json::parse_error& problem) {
        return invalid_argument(file_name + ": not JSON at byte " + std::to_string(problem.byte));
    } catch (const json::out_of_range& problem) {  // 1e999
        return invalid_argument(file_name + ": " + excerpt(problem.what(), 200));
    }
    if (!object.is_object()) {
        return invalid_argument(file_name + ": expected a JSON object, found " +
                                object.type_name());
    }
    auto node = std::make_shared<Node>();
    node->object = std::move(object);
    node->first_error = std::make_shared<FirstError>();
    node->first_error->file_name = std::move(file_name);
    return JsonSettings(std::move(node));
}

Result<JsonSettings> JsonSettings::load(const std::string& path) {
    const auto text = read_file("settings", path);
    RETURN_IF_ERROR(text);
    return parse(*text, path);
}

std::string JsonSettings::text(std::string_view key, std::optional<std::string> fallback) {
    return node_->take<std::string>(key, std::move(fallback), "text",
                                    [](const json& value) { return value.is_string(); });
}

std::int64_t JsonSettings::integer(std::string_view key, std::optional<std::int64_t> fallback) {
    return node_->take<std::int64_t>(key, fallback, "an integer", [](const json& value) {
        constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
        if (value.is_number_unsigned()) return value.get<std::uint64_t>() <= kMax;
        return value.is_number_integer();
    });
}

double JsonSettings::number(std::string_view key, std::optional<double> fallback) {
    return node_->take<double>(key, fallback, "a number",
                               [](const json& value) { return value.is_number(); });
}

bool JsonSettings::boolean(std::string_view key, std::optional<bool> fallback) {
    return node_->take<bool>(key, fallback, "true or false",
                             [](const json& value) { return value.is_boolean(); });
}

std::vector<std::string> JsonSettings::texts(std::string_view key) {
    using Texts = std::vector<std::string>;
    return node_->take<Texts>(key, Texts(), "an array of texts", [](const json& value) {
        if (!value.is_array()) return false;
        for (const json& element : value) {
            if (!element.is_string()) return false;
        }
        return true;
    });
}

bool JsonSettings::has(std::string_view key) const {
    return node_->object.contains(std::string(key));
}

JsonSettings JsonSettings::section(std::string_view key) {
    const json* value = node_->find(key);
    return JsonSettings(
        node_->add_section(value == nullptr ? json::object() : *value, join(node_->path, key)));
}

std::vector<JsonSettings> JsonSettings::sections(std::string_view key) {
    std::vector<JsonSettings> found;
    const json* value = node_->find(key);
    if (value == nullptr) return found;
    const std::string path = join(node_->path, key);
    if (!value->is_array()) {
        node_->first_error->report(
            path, std::string("expected an array of objects, found ") + value->type_name());
        return found;
    }
    for (std::size_t i = 0; i < value->size(); ++i) {
        found.push_back(
            JsonSettings(node_->add_section((*value)[i], path + "[" + std::to_string(i) + "]")));
    }
    return found;
}

Status JsonSettings::finish() const {
    node_->report_unknown_keys();
    if (node_->first_error->error) return *node_->first_error->error;
    return {};
}

}  // namespace turnpike::schema
