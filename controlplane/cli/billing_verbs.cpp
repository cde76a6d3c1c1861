// Verbs on the ledger.
#include <cstdio>

#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

using nlohmann::json;

int reverse_transaction(AdminClient& admin,
                        const std::string& transaction,
                        const std::string& reason,
                        Output output) {
    const json body{{"transaction", transaction}, {"reason", reason}};
    const auto answer = admin.call("POST", "/admin/v1/reversals", body);
    if (!answer) return report(answer.error());
    if (output.is_json) {
        std::printf("%s\n", answer->dump(2).c_str());
    } else {
        std::printf("%s, balance %s USD\n", cell(*answer, "transaction").c_str(),
                    cell(*answer, "balance_usd").c_str());
    }
    return kOk;
}

int verify_ledger(AdminClient& admin, Output output) {
    const auto answer = admin.call("GET", "/admin/v1/chain");
    if (!answer) return report(answer.error());
    const bool is_whole = answer->value("whole", false);
    if (output.is_json) {
        std::printf("%s\n", answer->dump(2).c_str());
    } else {
        std::printf("%s transactions fit the chain, head %s\n", cell(*answer, "links").c_str(),
                    cell(*answer, "head").c_str());
        if (!is_whole) std::printf("THE CHAIN IS BROKEN: %s\n", cell(*answer, "fault").c_str());
    }
    return is_whole ? kOk : kFailed;
}

}  // namespace turnpike::controlplane::cli
