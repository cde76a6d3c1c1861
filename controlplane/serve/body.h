// Body: typed reading of an operator's JSON body; the first wrong field is named as the error's
// `param`. Unknown fields are ignored, as everywhere on the API.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/result.h"

namespace turnpike::controlplane {

class Body {
  public:
    static Result<Body> parse(std::string_view text);
    explicit Body(nlohmann::json object);

    bool has(const char* name) const;                             // neither absent nor null
    std::string text(const char* name);                           // required, not empty
    std::string text(const char* name, std::string fallback);     // absent and null: fallback
    std::int64_t count(const char* name);                         // required, 0 to 2^53
    std::int64_t count(const char* name, std::int64_t fallback);  // absent and null: fallback
    double number(const char* name, double fallback);             // absent and null: fallback; >= 0
    std::vector<Body> objects(const char* name);                  // required array of objects
    Status finish() const;

  private:
    const nlohmann::json* find(const char* name) const;
    void fail(const char* name, const std::string& expected);

    nlohmann::json object_;
    std::optional<Error> error_;
};

// Compact text; bytes that are no UTF-8 are replaced instead of throwing.
std::string dump(const nlohmann::json& value);

}  // namespace turnpike::controlplane
