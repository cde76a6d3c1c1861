// JsonSettings: typed reading of a settings file. JSON with // and /* */ comments; a key that
// nobody asked for is an error with its path, and so is a value of the wrong type. Each settings
// struct has one `validate()` and is printed with secrets hidden by --check-config.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"

namespace turnpike::schema {

// Collects the first error instead of returning one per call:
//   JsonSettings file = ...; settings.port = file.integer("port", 8443); return file.finish().
class JsonSettings {
  public:
    static Result<JsonSettings> parse(std::string_view text, std::string file_name);
    static Result<JsonSettings> load(const std::string& path);
    ~JsonSettings();
    JsonSettings(JsonSettings&&) noexcept;
    JsonSettings& operator=(JsonSettings&&) noexcept;

    // Required when no default is given.
    std::string text(std::string_view key, std::optional<std::string> fallback = std::nullopt);
    std::int64_t integer(std::string_view key, std::optional<std::int64_t> fallback = std::nullopt);
    double number(std::string_view key, std::optional<double> fallback = std::nullopt);
    bool boolean(std::string_view key, std::optional<bool> fallback = std::nullopt);
    std::vector<std::string> texts(std::string_view key);  // absent reads as empty
    bool has(std::string_view key) const;
    JsonSettings section(std::string_view key);  // absent reads as {}
    std::vector<JsonSettings> sections(
        std::string_view key);  // an array of objects; absent reads as empty

    // The first error met in this object and in every section taken from it, unknown keys included.
    Status finish() const;

  private:
    struct Node;
    explicit JsonSettings(std::shared_ptr<Node> node);
    std::shared_ptr<Node> node_;
};

}  // namespace turnpike::schema
