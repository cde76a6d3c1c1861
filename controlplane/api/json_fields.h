// JsonFields: reads the fields of one JSON object and remembers the first that is missing or
// mistyped. Private to controlplane/api's codecs.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/base/result.h"

namespace turnpike::controlplane {

class JsonFields {
  public:
    // `where` names the object in errors: "usage record".
    JsonFields(const nlohmann::json& object, std::string where);

    std::string text(const char* key);
    std::int64_t integer(const char* key);
    // In [low, high]; low when it is not, which is then an error.
    std::int64_t integer(const char* key, std::int64_t low, std::int64_t high);
    bool boolean(const char* key);
    // null and absent read as empty.
    std::optional<std::string> optional_text(const char* key);
    std::optional<std::int64_t> optional_integer(const char* key);
    // An object or array; a shared empty value when it is missing, which is then an error.
    const nlohmann::json& object(const char* key);
    const nlohmann::json& array(const char* key);

    void fail(const std::string& message);
    Status finish() const;

  private:
    const nlohmann::json* find(const char* key,
                               bool (nlohmann::json::*is_type)() const noexcept,
                               const char* expected);

    const nlohmann::json& object_;
    std::string where_;
    std::optional<Error> error_;
};

// read(entry) for each, a Result of a row, to the end of rows; the first error ends it.
template <class Row, class Read>
Status read_rows(const nlohmann::json& entries, std::vector<Row>& rows, const Read& read) {
    for (const nlohmann::json& entry : entries) {
        auto row = read(entry);
        RETURN_IF_ERROR(row);
        rows.push_back(std::move(*row));
    }
    return {};
}

// Compact text. Bytes that are no UTF-8 are replaced: names come from people, and dump() would
// throw.
std::string write_json(const nlohmann::json& value);

// Parses text into a JSON object, or says that `where` is none.
Result<nlohmann::json> parse_object(std::string_view text, const std::string& where);

}  // namespace turnpike::controlplane
