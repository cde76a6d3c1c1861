// The verbs that talk to the admin API. Each prints a table, or the API's own JSON with `is_json`,
// and returns an exit code.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "controlplane/cli/admin_client.h"

namespace turnpike::controlplane::cli {

struct Output {
    bool is_json = false;
};

int create_organisation(AdminClient& admin, const std::string& name, Output output);
int list_organisations(AdminClient& admin, Output output);
int create_key(AdminClient& admin, const std::string& org, const std::string& name, Output output);
int list_keys(AdminClient& admin, const std::string& org, Output output);
int revoke_key(AdminClient& admin, const std::string& id, Output output);

struct Credit {
    std::string kind = "add";  // or "refund", "adjust"
    std::string org;
    std::string amount_usd;
    std::string note;
    std::string idempotency_key;  // empty: a new one
};

int add_credit(AdminClient& admin, const Credit& credit, Output output);

struct HardwareFilter {
    std::string model;  // set: with what is available
    bool is_available = false;
};

int list_hardware(AdminClient& admin, const HardwareFilter& filter, Output output);
int list_models(AdminClient& admin, Output output);
int show_usage(AdminClient& admin, const std::string& org, std::int64_t limit, Output output);
int show_billing(AdminClient& admin, const std::string& org, Output output);

struct NewEndpoint {
    std::string org;
    std::string model;
    std::string hardware;  // or:
    std::string gpu;       // "h100", and how many
    int gpu_count = 1;
    std::string zone;
    std::string display_name;
    int min_replicas = 1;
    int max_replicas = 1;
    std::int64_t inactive_timeout = 0;  // minutes
    bool no_speculation = false;
    bool no_prompt_cache = false;  // has no effect
    bool no_auto_start = false;
    bool waits = false;
};

// What is set is changed.
struct EndpointUpdate {
    std::optional<std::string> display_name;
    std::optional<int> min_replicas;  // with max_replicas
    std::optional<int> max_replicas;
    std::optional<std::int64_t> inactive_timeout;  // minutes; 0 = never
};

int create_endpoint(AdminClient& admin, const NewEndpoint& endpoint, Output output);
int update_endpoint(AdminClient& admin,
                    const std::string& id,
                    const EndpointUpdate& update,
                    Output output);

struct EndpointFilter {
    std::string org;
    std::string type;
    std::string usage_type;
    bool is_mine = false;
};

int list_endpoints(AdminClient& admin, const EndpointFilter& filter, Output output);
int list_zones(AdminClient& admin, Output output);

// The id of the row whose GPU and count these are: "8x_nvidia_h200_140gb_sxm" for "h200" and 8.
// kNotFound with what there is; kInvalidArgument when several fit.
Result<std::string> find_hardware(const nlohmann::json& rows, const std::string& gpu, int count);
int get_endpoint(AdminClient& admin, const std::string& id, Output output);
// `state` is "STARTED" or "STOPPED".
int set_endpoint_state(
    AdminClient& admin, const std::string& id, const std::string& state, bool waits, Output output);
// A rolling update to what it runs already.
int restart_endpoint(AdminClient& admin, const std::string& id, bool waits, Output output);
int list_replicas(AdminClient& admin, const std::string& id, Output output);
int delete_endpoint(AdminClient& admin, const std::string& id);

// One line of the usage route's "totals"; what was written off is told when there is any.
std::string totals_line(const nlohmann::json& totals);

// Shared by the verbs: prints what `for_people` does, or the answer with `is_json`; or reports.
using Show = std::function<void(const nlohmann::json&)>;
int show(const Result<nlohmann::json>& answer, Output output, const Show& for_people);

// Shared by the verbs: the field as text, empty when it is absent or null.
std::string cell(const nlohmann::json& row, const char* name);

}  // namespace turnpike::controlplane::cli
