// Commands: every verb of `turnpike` with its flags, and what each of them does.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "controlplane/cli/audit_verbs.h"
#include "controlplane/cli/backup_verbs.h"
#include "controlplane/cli/billing_verbs.h"
#include "controlplane/cli/limit_verbs.h"
#include "controlplane/cli/verbs.h"

namespace turnpike::controlplane::cli {

// What the flags said; each verb reads its own.
struct Options {
    std::string admin;
    std::string org;
    std::string name;
    std::string id;
    Credit credit;
    NewPrice price;
    ChangedLimits limits;
    std::string reason;
    std::string month;
    std::string since;
    std::string to;
    std::int64_t price_version = 0;
    bool is_csv = false;
    NewEndpoint endpoint;
    EndpointFilter endpoint_filter;
    HardwareFilter hardware_filter;
    EndpointUpdate update;
    std::int64_t limit = 20;
    int wait_s = 0;
    bool waits = false;
    Output output;
    // Not empty: a program beside this one that does it, and its arguments.
    std::vector<std::string> program;
};

using Action = std::function<int(AdminClient&, const Options&)>;

// Declares the verbs on `app`; the one that was given leaves its action in `chosen`. All three
// outlive the parsing.
class Commands {
  public:
    Commands(CLI::App& app, Options& options, Action& chosen);

  private:
    CLI::App* verb(CLI::App& parent, const char* name, const char* help, Action action);
    CLI::App& noun(const char* name, const char* help);
    CLI::App* with_month(CLI::App* sub);
    void with_new_endpoint(CLI::App* sub);
    void with_hardware_filter(CLI::App* sub);

    void accounts();
    void credit();
    void limits();
    void endpoints();
    void reports();
    void usage();
    void prices();
    void billing();
    void audit();
    void backup();

    CLI::App& app_;
    Options& options_;
    Action& chosen_;
};

}  // namespace turnpike::controlplane::cli
