// turnpike: the operator's command. Verbs that it does not know are run as turnpike-<verb>.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "controlplane/cli/commands.h"
#include "controlplane/cli/commit.h"
#include "controlplane/cli/completion.h"
#include "controlplane/cli/doctor_verb.h"
#include "controlplane/cli/exit_code.h"
#include "controlplane/cli/supervisor.h"

namespace {

using namespace turnpike::controlplane::cli;

// The folder of this binary, where its siblings are.
std::string binary_dir() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

bool knows(const CLI::App& app, const std::string& verb) {
    for (const CLI::App* known : app.get_subcommands([](const CLI::App*) { return true; })) {
        if (known->get_name() == verb) return true;
    }
    return false;
}

// Becomes turnpike-<verb> from beside this binary; returns an exit code when there is none.
int run_sibling(char** argv) {
    const std::string sibling = binary_dir() + "/turnpike-" + argv[1];
    ::execv(sibling.c_str(), argv + 1);
    if (errno != ENOENT) return fail_usage(turnpike::errno_error("cannot run " + sibling).message);
    return fail_usage("no verb '" + std::string(argv[1]) + "', and no program " + sibling);
}

// Becomes a program from beside this binary.
int become_program(std::vector<std::string> words) {
    const std::string path = binary_dir() + "/" + words[0];
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execv(path.c_str(), arguments.data());
    return report(turnpike::errno_error("cannot run " + path));
}

// Verbs that need no control plane.
struct LocalVerbs {
    explicit LocalVerbs(CLI::App& app) {
        up = app.add_subcommand("up", "run the control plane and the gateway of a state directory");
        up->add_option("--dir", dir, "state directory (.turnpike)")->type_name("DIR");
        upgrade = app.add_subcommand(
            "upgrade",
            "replace the processes of a running `turnpike up` by new ones, without a pause");
        upgrade->add_option("--dir", dir, "state directory (.turnpike)")->type_name("DIR");
        upgrade->add_option("what", what, "controlplane, gateway or all")
            ->check(CLI::IsMember({"controlplane", "gateway", "all"}));
        doctor = app.add_subcommand("doctor", "check what a service on this host needs");
        doctor
            ->add_option("--settings", checked.settings,
                         "settings of a gateway, control plane or engine (those of .turnpike/)")
            ->type_name("FILE");
        doctor->add_flag("--json", checked.output.is_json, "print JSON");
        completion = app.add_subcommand("completion", "print a shell's completion script");
        completion->add_option("shell", shell, "whose")
            ->required()
            ->check(CLI::IsMember({"bash", "zsh"}));
    }

    // Nothing when another verb was given.
    std::optional<int> run(const CLI::App& app, const std::string& admin) {
        if (up->parsed())
            return run_supervisor(std::filesystem::absolute(dir).string(), binary_dir());
        if (upgrade->parsed()) return run_upgrade(std::filesystem::absolute(dir).string(), what);
        if (doctor->parsed()) {
            checked.admin = admin;
            checked.binary_dir = binary_dir();
            checked.build = {turnpike::kVersion, turnpike::kCommit};
            return run_doctor(checked);
        }
        if (!completion->parsed()) return std::nullopt;
        const bool is_bash = shell == "bash";
        std::fputs((is_bash ? bash_completion(app) : zsh_completion(app)).c_str(), stdout);
        return kOk;
    }

    CLI::App* up = nullptr;
    CLI::App* upgrade = nullptr;
    CLI::App* doctor = nullptr;
    CLI::App* completion = nullptr;
    std::string dir = ".turnpike";
    std::string what = "all";
    DoctorOptions checked;
    std::string shell;
};

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Operates a Turnpike service, and talks to it.", "turnpike");
    app.require_subcommand(1);
    app.footer(
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the control plane cannot be reached, 4 not "
        "found.");
    Options options;
    Action chosen;
    app.add_option("--admin", options.admin,
                   "the control plane's admin socket, unix:PATH (TURNPIKE_ADMIN)");
    LocalVerbs local(app);
    const Commands commands(app, options, chosen);
    if (argc > 1 && argv[1][0] != '-' && !knows(app, argv[1])) return run_sibling(argv);
    // For --help alone: it is a program of its own, found as above.
    app.add_subcommand("chat", "talk to a model through the public API");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        const int status = app.exit(problem);
        return status == 0 ? kOk : kUsage;
    }
    if (const auto status = local.run(app, options.admin)) return *status;
    if (!options.program.empty()) return become_program(options.program);
    if (!chosen) return fail_usage("chat comes first: turnpike chat …, without --admin");
    const auto address = find_admin_address(options.admin);
    if (!address) return report(address.error());
    AdminClient admin(*address);
    return chosen(admin, options);
}
