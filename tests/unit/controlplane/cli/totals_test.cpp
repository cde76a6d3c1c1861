// The line under `turnpike usage`.
#include <gtest/gtest.h>

#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {
namespace {

using nlohmann::json;

TEST(TotalsLine, TellsWhatWasWrittenOffWhenThereIsAny) {
    json totals = json::parse(R"({"num_requests":3,"prompt_tokens":20,"completion_tokens":40,
        "cost_usd":"0.00034","written_off":{"num_requests":0,"prompt_tokens":0,
        "completion_tokens":0,"cost_usd":"0.00"}})");
    const std::string billed = "billed in all: 3 requests, 20 tokens in, 40 out, 0.00034 USD";
    EXPECT_EQ(totals_line(totals), billed);
    totals["written_off"] = {{"num_requests", 1},
                             {"prompt_tokens", 6},
                             {"completion_tokens", 2},
                             {"cost_usd", "0.000032"}};
    EXPECT_EQ(totals_line(totals),
              billed + "; written off: 1 request, 6 tokens in, 2 out, 0.000032 USD");
}

}  // namespace
}  // namespace turnpike::controlplane::cli
