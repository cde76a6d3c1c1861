#include "gateway/client/bench/plan.h"

#include <utility>

#include "config/base/read_file.h"
#include "config/net/http_message.h"
#include "gateway/client/bench/arrivals.h"
#include "gateway/client/bench/prompts.h"
#include "gateway/client/bench/request_body.h"

namespace turnpike::gateway::client::bench {
namespace {

constexpr std::size_t kDefaultRequests = 1000;

// Streams of random numbers of their own, so that one flag does not change what another draws.
enum SeedOffset : std::uint64_t { kPrompts = 0, kArrivals = 1, kLeaving = 2, kWarmup = 3 };

std::uint64_t seed_of(const Flags& flags, SeedOffset offset) {
    return flags.seed * 4 + offset;
}

Route route_of(const Flags& flags) {
    return flags.endpoint == "chat" ? Route::kChat : Route::kCompletions;
}

std::vector<Prompt> made_up(const Flags& flags, std::size_t count, SeedOffset offset) {
    SyntheticOptions options;
    options.route = route_of(flags);
    options.count = count;
    options.input_tokens = flags.input_len;
    options.output_tokens = flags.output_len;
    options.range_ratio = flags.range_ratio;
    options.prefix_tokens = flags.prefix_len;
    options.vocab_size = flags.vocab_size;
    options.seed = seed_of(flags, offset);
    return synthetic_prompts(options);
}

Result<std::vector<Prompt>> from_file(const Flags& flags) {
    const auto lines = read_file("the prompts", flags.prompt_file);
    RETURN_IF_ERROR(lines);
    auto prompts = parse_prompts(*lines, {route_of(flags), flags.output_len});
    if (!prompts) return invalid_argument(flags.prompt_file + ": " + prompts.error().message);
    return prompts;
}

std::vector<Prompt> repeated(const std::vector<Prompt>& prompts, std::size_t count) {
    std::vector<Prompt> all;
    all.reserve(count);
    for (std::size_t i = 0; i < count; ++i) all.push_back(prompts[i % prompts.size()]);
    return all;
}

// Writes whole HTTP requests.
class RequestWriter {
  public:
    RequestWriter(const Flags& flags, const Service& service, BodyWriter body)
        : body_(std::move(body)), host_(net::host_of(service.options.address)) {
        const bool is_chat = route_of(flags) == Route::kChat;
        request_.method = "POST";
        request_.target = service.path + (is_chat ? "/chat/completions" : "/completions");
        request_.headers.add("user-agent", "turnpike-bench");
        request_.headers.add("content-type", "application/json");
        if (!service.api_key.empty())
            request_.headers.add("authorization", "Bearer " + service.api_key.reveal());
    }

    LoadRequest write(const Prompt& prompt) {
        request_.body = body_.write(prompt);
        return {net::write_request(request_, host_), 0.0, {}, prompt.num_tokens};
    }

  private:
    BodyWriter body_;
    std::string host_;
    net::HttpRequest request_;
};

void plan_moments(const Flags& flags,
                  const std::vector<Prompt>& prompts,
                  std::vector<LoadRequest>& requests) {
    std::vector<std::int64_t> max_tokens;
    max_tokens.reserve(prompts.size());
    for (const Prompt& prompt : prompts) max_tokens.push_back(prompt.max_tokens);
    const auto times = arrivals(requests.size(),
                                {flags.request_rate, flags.burstiness, seed_of(flags, kArrivals)});
    const LeaveOptions options{flags.disconnect_rate, !flags.is_whole, flags.disconnects_early,
                               seed_of(flags, kLeaving)};
    const auto leaving = plan_leaving(max_tokens, options);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        requests[i].arrival_s = times[i];
        requests[i].leave = leaving[i];
    }
}

}  // namespace

Result<Plan> make_plan(const Flags& flags, const Service& service, const std::string& model) {
    BodyOptions options{route_of(flags),   model,           !flags.is_whole, flags.ignores_eos,
                        flags.temperature, flags.extra_body};
    auto body = BodyWriter::make(options);
    RETURN_IF_ERROR(body);
    RequestWriter writer(flags, service, std::move(*body));
    std::vector<Prompt> prompts;
    std::vector<Prompt> warmup;
    const auto num_warmup = static_cast<std::size_t>(flags.num_warmup);
    if (flags.prompt_file.empty()) {
        const std::int64_t count =
            flags.num_prompts.value_or(static_cast<std::int64_t>(kDefaultRequests));
        prompts = made_up(flags, static_cast<std::size_t>(count), kPrompts);
        // Others than those that count, which would be found in the server's prefix cache.
        warmup = made_up(flags, num_warmup, kWarmup);
    } else {
        auto lines = from_file(flags);
        RETURN_IF_ERROR(lines);
        const auto most = static_cast<std::int64_t>(lines->size());
        prompts = repeated(*lines, static_cast<std::size_t>(flags.num_prompts.value_or(most)));
        warmup = repeated(*lines, num_warmup);
    }
    Plan plan;
    for (const Prompt& prompt : prompts) plan.requests.push_back(writer.write(prompt));
    for (const Prompt& prompt : warmup) plan.warmup.push_back(writer.write(prompt));
    plan_moments(flags, prompts, plan.requests);
    return plan;
}

}  // namespace turnpike::gateway::client::bench
