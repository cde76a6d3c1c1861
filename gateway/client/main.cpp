// turnpike-chat, run as `turnpike chat`: talks to a model through the public API.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "config/base/limits.h"
#include "gateway/client/exit_code.h"
#include "gateway/client/flags.h"
#include "gateway/client/interrupt.h"
#include "gateway/client/session.h"

namespace {

using namespace turnpike;
using namespace turnpike::gateway::client;

struct Arguments {
    ServiceFlags service;
    Generation generation;
    bool is_json = false;
    bool is_whole = false;
    std::string prompt;
};

void declare(CLI::App& app, Arguments& arguments) {
    Generation& generation = arguments.generation;
    app.add_option("--model", generation.model, "name of the model (" + generation.model + ")")
        ->type_name("NAME");
    app.add_option("--system", generation.system, "system text");
    app.add_option("--max-tokens", generation.max_tokens, "at most so many tokens")
        ->type_name("N")
        ->check(number([](double n) { return n >= 1; }, "a whole number of at least 1"));
    app.add_option("--temperature", generation.temperature, "0 always takes the likeliest token")
        ->type_name("T")
        ->check(number([](double n) { return n >= 0 && n <= 2; }, "a number from 0 to 2"));
    app.add_option("--top-p", generation.top_p, "nucleus, above 0 and up to 1")
        ->type_name("P")
        ->check(number([](double n) { return n > 0 && n <= 1; }, "a number above 0 and up to 1"));
    app.add_option("--seed", generation.seed, "the same seed gives the same answer")
        ->type_name("N")
        ->check(number([](double n) { return n >= 0; }, "a whole number of at least 0"));
    app.add_flag("--no-stream", arguments.is_whole, "wait for the whole answer");
    app.add_flag("--json", arguments.is_json, "print the API's JSON, streamed: a chunk a line");
    declare_service(app, arguments.service);
    app.add_option("PROMPT", arguments.prompt, "without it: standard input, or a conversation")
        ->type_name("");
    app.footer(
        "The answer goes to standard output, and the rest (reasoning too, unless the output is a\n"
        "terminal) to standard error. In a conversation /new forgets it, /quit or Ctrl-D ends it,\n"
        "and Ctrl-C stops an answer.\n"
        "Exit codes: 0 answered, 1 failed, 2 wrong usage, 3 the service cannot be reached,\n"
        "4 refused by it (key, credit, model, parameters), 130 stopped by Ctrl-C.");
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

Channel channel_of(int fd) {
    Channel channel;
    channel.write = [fd](std::string_view bytes) { return write_all(fd, bytes); };
    channel.is_terminal = ::isatty(fd) == 1;
    const char* kind = std::getenv("TERM");
    const bool can_dim = kind != nullptr && std::string(kind) != "dumb";
    channel.has_style = channel.is_terminal && can_dim && std::getenv("NO_COLOR") == nullptr;
    return channel;
}

int fail(const std::string& message) {
    std::fprintf(stderr, "turnpike chat: %s\n", message.c_str());
    return kUsage;
}

// All of standard input, without the line end that a pipe usually ends with; empty when it is more
// than any request may hold.
std::optional<std::string> read_prompt() {
    std::string text;
    char buffer[4096];
    while (const std::size_t taken = std::fread(buffer, 1, sizeof buffer, stdin)) {
        text.append(buffer, taken);
        if (text.size() > limits::kMaxBodyBytes) return {};
    }
    if (text.ends_with('\n')) text.pop_back();
    return text;
}

int run(Arguments arguments) {
    const auto service = find_service(arguments.service, &environment_value);
    if (!service) return fail(service.error().message);
    const bool is_loop = arguments.prompt.empty() && ::isatty(STDIN_FILENO) == 1;
    if (arguments.prompt.empty() && !is_loop) {
        auto prompt = read_prompt();
        if (!prompt) return fail("the prompt on standard input is larger than a request may be");
        if (prompt->empty()) return fail("standard input holds no prompt; see --help");
        arguments.prompt = std::move(*prompt);
    }
    arguments.generation.streams = !arguments.is_whole;
    std::signal(SIGPIPE, SIG_IGN);
    const SystemClock clock;
    PublicApi api(*service);
    const Place place{channel_of(STDOUT_FILENO), channel_of(STDERR_FILENO), arguments.is_json};
    ChatSession session(api, Conversation(arguments.generation), place, clock);
    const InterruptWatcher watcher([&] { session.interrupt(); });
    return is_loop ? session.loop(stdin) : session.ask(std::move(arguments.prompt));
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Talks to a model through the public API.", "turnpike chat");
    Arguments arguments;
    declare(app, arguments);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? kOk : kUsage;
    }
    return run(std::move(arguments));
}
