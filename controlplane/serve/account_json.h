// Accounts, usage and bills as the admin API shows them: times are RFC 3339, money is a decimal
// string in USD beside `_nano_usd`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "controlplane/store/credit.h"
#include "controlplane/store/keys.h"
#include "controlplane/store/ledger.h"
#include "controlplane/store/ledger_chain.h"
#include "controlplane/store/organisations.h"
#include "controlplane/store/usage.h"

namespace turnpike::controlplane {

// `name`_usd and `name`_nano_usd.
void put_money(nlohmann::json& object, const std::string& name, NanoUsd amount);
void put_tokens(nlohmann::json& object, const TokenUsage& usage);

nlohmann::json to_json(const Organisation& organisation);
nlohmann::json to_json(const ApiKey& key);
nlohmann::json to_json(const UsageListing& listing);
nlohmann::json to_json(const BillingStatement& statement);
nlohmann::json to_json(const CreditResult& result);
nlohmann::json to_json(const ChainReport& report);

}  // namespace turnpike::controlplane
