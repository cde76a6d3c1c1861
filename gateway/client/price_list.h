// PriceList: the names and prices that GET /v1/models tells.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/money.h"
#include "config/base/result.h"

namespace turnpike::gateway::client {

class PriceList {
  public:
    // {"data":[...]} or the bare array, prices in USD per million tokens. A row without a price, or
    // with one that is no whole number of nano-dollars per token, is known by name only. kCorrupt
    // when it is no list at all.
    static Result<PriceList> parse(std::string_view json_text);

    std::optional<Price> find(const std::string& model) const;
    std::vector<std::string> names() const;

  private:
    std::map<std::string, std::optional<Price>> prices_;
};

// What `usage` costs; empty when the counts make no sense (negative, cached above prompt, beyond
// anything that a request can hold).
std::optional<NanoUsd> cost_if_sane(const Price& price, const TokenUsage& usage);

}  // namespace turnpike::gateway::client
