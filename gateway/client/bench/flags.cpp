#include "gateway/client/bench/flags.h"

#include <charconv>

#include "gateway/client/flags.h"

namespace turnpike::gateway::client::bench {
namespace {

constexpr double kMost = 1e9;

CLI::Validator at_least(double least) {
    const auto is_fine = [least](double n) { return n >= least && n <= kMost; };
    return number(is_fine, "a number of at least " + std::to_string(static_cast<int>(least)));
}

CLI::Validator positive() {
    return number([](double n) { return n > 0 && n <= kMost; }, "a number above 0");
}

CLI::Validator share(bool may_be_one) {
    return number([may_be_one](double n) { return n >= 0 && (n < 1 || (may_be_one && n == 1)); },
                  may_be_one ? "a number from 0 to 1" : "a number of at least 0 and below 1");
}

void declare_requests(CLI::App& app, Flags& flags) {
    app.add_option("--model", flags.model, "name of the model (the first that the server lists)")
        ->type_name("NAME");
    app.add_option("--endpoint", flags.endpoint, "chat or completions (chat)")
        ->type_name("ROUTE")
        ->check(CLI::IsMember({"chat", "completions"}));
    app.add_flag("--no-stream", flags.is_whole, "whole answers: no TTFT, TPOT and ITL");
    app.add_option("--temperature", flags.temperature, "(the server's default)")
        ->type_name("T")
        ->check(at_least(0));
    app.add_flag("--ignore-eos", flags.ignores_eos, "answers of exactly the length asked for");
    app.add_option("--extra-body", flags.extra_body, "more fields of each request")
        ->type_name("JSON");
}

void declare_prompts(CLI::App& app, Flags& flags) {
    app.add_option("--num-prompts", flags.num_prompts, "requests (1000; all of --prompts)")
        ->type_name("N")
        ->check(at_least(1));
    app.add_option("--prompts", flags.prompt_file,
                   "JSON lines with \"prompt\" or \"messages\", and \"max_tokens\" if they like; "
                   "taken in order, again from the start for more requests than lines")
        ->type_name("FILE");
    app.add_option("--random-input-len", flags.input_len, "tokens of a made-up prompt (1024)")
        ->type_name("N")
        ->check(at_least(1));
    app.add_option("--random-output-len", flags.output_len,
                   "tokens asked for; for lines without max_tokens too (128)")
        ->type_name("N")
        ->check(at_least(1));
    app.add_option("--random-range-ratio", flags.range_ratio,
                   "both lengths vary by up to this share (0)")
        ->type_name("R")
        ->check(share(false));
    app.add_option("--random-prefix-len", flags.prefix_len,
                   "tokens before them that all prompts share (0)")
        ->type_name("N")
        ->check(at_least(0));
    app.add_option("--random-vocab-size", flags.vocab_size,
                   "with completions: prompts of random token ids below N, which have exactly the "
                   "lengths asked for; else prompts are common words, mostly a token each")
        ->type_name("N")
        ->check(at_least(2));
}

void declare_load(CLI::App& app, Flags& flags) {
    app.add_option("--request-rate", flags.request_rate,
                   "requests that arrive in a second, whatever becomes of the others (all at once)")
        ->type_name("R")
        ->check(positive());
    app.add_option("--burstiness", flags.burstiness,
                   "of the arrivals: 1 is a Poisson process, below 1 burstier (1)")
        ->type_name("B")
        ->check(positive());
    app.add_option("--concurrency", flags.concurrency,
                   "requests in progress at most; the next waits (no bound)")
        ->type_name("N")
        ->check(at_least(1));
    app.add_option("--disconnect-rate", flags.disconnect_rate,
                   "share of requests that are left: one in four of them before the first byte, "
                   "the others at a random moment of the stream (0)")
        ->type_name("P")
        ->check(share(true));
    app.add_flag("--disconnect-early", flags.disconnects_early,
                 "some of those leave while they connect or send, too");
    app.add_option("--warmup", flags.num_warmup, "requests beforehand that do not count (0)")
        ->type_name("N")
        ->check(at_least(0));
    app.add_option("--seed", flags.seed, "of prompts, arrivals and disconnects (0)")
        ->type_name("N")
        ->check(at_least(0));
    app.add_option("--timeout", flags.timeout_s,
                   "a request that gets no byte for so long has failed (600)")
        ->type_name("SECONDS")
        ->check(positive());
}

void declare_report(CLI::App& app, Flags& flags) {
    app.add_option("--goodput", flags.goodput,
                   "count requests within these milliseconds: ttft:MS tpot:MS e2el:MS")
        ->type_name("NAME:MS");
    app.add_option("--percentiles", flags.percents, "(90,95,99)")
        ->type_name("P,...")
        ->delimiter(',')
        ->check(number([](double n) { return n >= 0 && n <= 100; }, "a number from 0 to 100"));
    app.add_option("--json", flags.json_file, "write the report there; - is standard output")
        ->type_name("FILE");
    app.add_flag("--save-requests", flags.has_rows, "with a row for each request");
    app.add_option("--metadata", flags.metadata, "words for the report")->type_name("NAME=VALUE");
}

}  // namespace

void declare(CLI::App& app, Flags& flags) {
    declare_requests(app, flags);
    declare_prompts(app, flags);
    declare_load(app, flags);
    declare_report(app, flags);
    declare_service(app, flags.service);
    app.footer(
        "A base URL may be unix:/run/x.sock:/v1. The table goes to standard output, progress to\n"
        "standard error when that is a terminal. Ctrl-C ends the run and reports what there is.\n"
        "Exit codes: 0 every request was completed or left as planned, 1 some failed, 2 wrong\n"
        "usage, 3 the server cannot be reached, 4 it refused every request (key, model,\n"
        "parameters), 130 stopped by Ctrl-C.");
}

Result<Slo> parse_goodput(const std::vector<std::string>& goals) {
    Slo slo;
    for (const std::string& goal : goals) {
        const std::size_t colon = goal.find(':');
        const std::string name = goal.substr(0, colon);
        const char* begin = goal.data() + std::min(colon, goal.size() - 1) + 1;
        const char* end = goal.data() + goal.size();
        double limit_ms = 0.0;
        const auto [stop, problem] = std::from_chars(begin, end, limit_ms);
        std::optional<double>* place = name == "ttft"   ? &slo.ttft_ms
                                       : name == "tpot" ? &slo.tpot_ms
                                       : name == "e2el" ? &slo.e2el_ms
                                                        : nullptr;
        const bool is_number = colon != std::string::npos && problem == std::errc() && stop == end;
        if (place == nullptr || !is_number || limit_ms <= 0)
            return invalid_argument(
                "--goodput: expected ttft:MS, tpot:MS or e2el:MS above 0, found '" + goal + "'");
        *place = limit_ms;
    }
    return slo;
}

Result<std::map<std::string, std::string>> parse_metadata(const std::vector<std::string>& pairs) {
    std::map<std::string, std::string> metadata;
    for (const std::string& pair : pairs) {
        const std::size_t equals = pair.find('=');
        if (equals == std::string::npos || equals == 0)
            return invalid_argument("--metadata: expected NAME=VALUE, found '" + pair + "'");
        metadata[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    return metadata;
}

}  // namespace turnpike::gateway::client::bench
