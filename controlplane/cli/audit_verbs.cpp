#include "controlplane/cli/audit_verbs.h"

#include <cstdio>

#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/table.h"

namespace turnpike::controlplane::cli {

using nlohmann::json;

int list_audit(AdminClient& admin, const std::string& since, std::int64_t limit, Output output) {
    std::string target = "/admin/v1/audit?limit=" + std::to_string(limit);
    if (!since.empty()) target += "&since=" + encode_component(since);
    return show(admin.call("GET", target), output, [](const json& answer) {
        Table table({">ID", "AT", "ACTOR", "ACTION", "SUBJECT", "DETAIL"});
        for (const json& row : answer.value("data", json::array())) {
            table.add({cell(row, "id"), cell(row, "at"), cell(row, "actor"), cell(row, "action"),
                       cell(row, "subject"), cell(row, "detail")});
        }
        std::fputs(table.to_text().c_str(), stdout);
    });
}

int verify_audit(AdminClient& admin, Output output) {
    const auto answer = admin.call("GET", "/admin/v1/audit/verify");
    const int code = show(answer, output, [](const json& chain) {
        std::printf("%s rows fit the chain, %s were cut, head %s\n", cell(chain, "rows").c_str(),
                    cell(chain, "cut").c_str(), cell(chain, "head").c_str());
        if (!chain.value("whole", false))
            std::printf("THE AUDIT IS BROKEN: %s\n", cell(chain, "fault").c_str());
    });
    return code == kOk && !answer->value("whole", false) ? kFailed : code;
}

}  // namespace turnpike::controlplane::cli
