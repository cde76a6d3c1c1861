// Price versions of model names: immutable, each holding from a day on. The version in force when a
// request is admitted is its price. A price of the settings' cards makes a new version only when
// the card changed, so what an operator set survives restarts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.h"
#include "config/base/money.h"
#include "config/base/result.h"
#include "controlplane/api/snapshot.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

class Store;

enum class PriceSource { kSettings, kOperator };

struct PriceRow {
    std::string name;
    Price price;
    WallTime from;
    WallTime created_at;
    PriceSource source = PriceSource::kSettings;
};

// Of one name or of all: by name, then in the order in which they came or come into force.
Result<std::vector<PriceRow>> list_prices(const Store& store,
                                          const std::optional<std::string>& name);

// A new version from `from` on, published to gateways at once, so that they change over at that
// moment without us. Another one for the same moment replaces it. kNotFound: no such name;
// kInvalidArgument: a price out of bounds, or a moment that has passed.
Result<PriceRow> set_price(
    Store& store, const std::string& name, const Price& price, WallTime from, WallTime now);

// Inside a transaction of control.db.

Status check_price(const Price& price);

struct NamePrices {
    std::optional<Price> current;      // empty: none holds yet
    std::vector<DatedPrice> upcoming;  // by time
};

Result<NamePrices> read_prices(Database& control, const std::string& name, WallTime now);
// The settings' price of a name; see above.
Status put_settings_price(Database& control,
                          const std::string& name,
                          const Price& wanted,
                          WallTime now);
Result<std::optional<Price>> read_price_version(Database& control, std::int64_t version);

}  // namespace turnpike::controlplane
