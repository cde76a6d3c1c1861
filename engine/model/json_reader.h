// JsonReader: reads keys of one JSON object and keeps the first error, with file and key, for one
// check at the end. For files that carry many keys nobody here needs, so unknown keys are allowed.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"

namespace turnpike::engine {

class JsonReader {
  public:
    // `where` begins every message: "config.json" or "config.json: rope_scaling". Both outlive the
    // reader.
    JsonReader(const nlohmann::json& object, std::string where, Status& status);

    bool has(std::string_view key) const;  // present and not null
    std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max);
    double number(std::string_view key);   // an integer where a float is meant is fine
    float positive(std::string_view key);  // over 0 and finite, also as a float
    bool boolean(std::string_view key, bool fallback);
    std::string text(std::string_view key);
    std::vector<std::string> texts(std::string_view key);  // an array of them
    JsonReader section(std::string_view key);

    // The value has to be this when the key is present and not null.
    void expect(std::string_view key, const nlohmann::json& wanted);
    // The same of every element of an array.
    void expect_each(std::string_view key, const nlohmann::json& wanted);
    void fail(std::string_view key, const std::string& problem);

  private:
    const nlohmann::json* find(std::string_view key) const;
    const nlohmann::json* require(std::string_view key, std::string_view type);

    const nlohmann::json& object_;
    std::string where_;
    Status& status_;
};

// Whether objects and arrays nest deeper than max_depth. Asked before parsing a stranger's text,
// whose nesting would otherwise cost memory many times its size.
bool is_nested_deeper(std::string_view json_text, int max_depth);

// A config.json. Errors: kCorrupt for text that is no JSON object or nests beyond any config's
// depth.
Result<nlohmann::json> parse_config_object(std::string_view json_text,
                                           const std::string& file_name);

// The whole file, at most max_bytes. Errors: kNotFound, kIo, kTooLarge.
Result<std::string> read_text_file(const std::string& path, std::uint64_t max_bytes);

}  // namespace turnpike::engine
