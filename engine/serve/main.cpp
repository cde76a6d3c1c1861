// turnpike-engine: one model replica. `serve` runs it; the other verbs make and inspect
// checkpoints.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <thread>

#include "engine/serve/replica_ranks.h"
#include "engine/serve/verbs.h"

namespace turnpike::engine {
namespace {

CLI::App* add_logits(CLI::App& app, LogitsRequest& request) {
    request.prompt_rows = std::numeric_limits<std::int64_t>::max();
    request.numerics = "w8a16";
    request.isa = "scalar";  // the definition of the numbers
    auto* logits = app.add_subcommand("logits", "write the logits of every position as .npy");
    logits->add_option("--tokens", request.tokens_file, "file of token ids")->required();
    logits->add_option("--out", request.out_file, "file to write")->required();
    logits->add_option("--numerics", request.numerics, "of linears stored as FP8")
        ->check(CLI::IsMember({"w8a16", "w8a8_block"}))
        ->capture_default_str();
    logits->add_flag("--mtp", request.is_draft,
                     "of the multi-token-prediction layer: row i is about token i + 2");
    logits
        ->add_option("--prompt-rows", request.prompt_rows,
                     "compute later positions as generated ones (default: none)")
        ->check(CLI::NonNegativeNumber);
    logits->add_option("--isa", request.isa, "scalar, avx2, avx512, avx512-bf16, auto or cuda")
        ->capture_default_str();
    return logits;
}

CLI::App* add_synth(CLI::App& app, SynthRequest& request) {
    auto* synth = app.add_subcommand("synth", "write a deterministic random checkpoint");
    synth->add_option("--config", request.config_file, "config.json of the architecture")
        ->required();
    synth->add_option("--seed", request.seed, "seed of the weights");
    synth->add_option("--out", request.out_dir, "folder to write")->required();
    synth->add_option("--shards", request.num_shards, "files to spread the tensors over")
        ->capture_default_str();
    synth->add_flag("--sparse", request.is_sparse,
                    "sizes without values: takes almost no disk at any size");
    return synth;
}

CLI::App* add_plan(CLI::App& app, PlanRequest& request) {
    auto* plan = app.add_subcommand("plan", "what goes where on so many GPUs, and whether it fits");
    plan->add_option("--gpus", request.num_gpus, "GPUs of one replica")->required();
    plan->add_option("--gpu-memory", request.gpu_memory_gib, "usable GiB of one GPU")->required();
    plan->add_option("--context", request.context,
                     "tokens of one sequence (default: the checkpoint's context)");
    plan->add_option("--concurrency", request.concurrency, "sequences of that length at a time")
        ->capture_default_str();
    return plan;
}

CLI::App* add_serve(CLI::App& app,
                    std::string& config,
                    std::int64_t& num_ranks,
                    bool& only_checks_config) {
    auto* serve = app.add_subcommand("serve", "serve a model over HTTP");
    serve->add_option("--config", config, "settings file (JSON)")->required();
    serve
        ->add_option("--ranks", num_ranks, "processes that hold the model (default: the settings')")
        ->check(CLI::PositiveNumber);
    serve->add_flag("--check-config", only_checks_config, "print the effective settings and exit");
    return serve;
}

// What a serving process starts; nobody else's business.
CLI::App* add_rank(CLI::App& app, int& rank) {
    auto* verb = app.add_subcommand("rank", "one rank of a replica")->group("");
    verb->add_option("rank", rank, "its number")->required()->check(CLI::PositiveNumber);
    return verb;
}

CLI::App* add_bench(CLI::App& app, BenchRequest& request) {
    auto* bench = app.add_subcommand("bench", "prefill and decode speed, as JSON");
    bench->add_option("-p,--prompt", request.num_prompt, "tokens of a prompt")
        ->capture_default_str();
    bench->add_option("-n,--generate", request.num_generated, "tokens to decode")
        ->capture_default_str();
    bench->add_option("-d,--depth", request.depth, "positions before the first decoded one")
        ->capture_default_str();
    request.num_threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    bench->add_option("-t,--threads", request.num_threads, "threads")->capture_default_str();
    bench->add_option("-r,--repeats", request.repeats, "repetitions")->capture_default_str();
    bench->add_option("--isa", request.isa, "scalar, avx2, avx512, avx512-bf16, auto or cuda")
        ->capture_default_str();
    return bench;
}

}  // namespace
}  // namespace turnpike::engine

int main(int argc, char** argv) {
    using namespace turnpike;
    CLI::App app("turnpike-engine: serves one model, and makes and inspects checkpoints");
    app.require_subcommand(1);
    std::string config;
    std::string model;
    engine::LogitsRequest logits_request;
    engine::SynthRequest synth_request;
    engine::PlanRequest plan_request;
    std::string checksums;
    engine::BenchRequest bench_request;
    std::int64_t num_ranks = 0;
    int rank = 0;
    std::string wording;
    std::string kind;
    bool only_checks_config = false;
    bool is_plain = false;
    bool is_json = false;

    auto* serve = engine::add_serve(app, config, num_ranks, only_checks_config);
    auto* rank_verb = engine::add_rank(app, rank);
    auto* synth = engine::add_synth(app, synth_request);
    auto* check = app.add_subcommand("check", "check a checkpoint's files against its config");
    check->add_option("--checksums", checksums, "SHA-256 sums of its files, as sha256sum writes");
    auto* plan = engine::add_plan(app, plan_request);
    auto* logits = engine::add_logits(app, logits_request);
    auto* bench = engine::add_bench(app, bench_request);
    auto* tokenize = app.add_subcommand("tokenize", "text on stdin to token ids");
    tokenize->add_flag("--plain", is_plain, "read added tokens as ordinary text");
    auto* detokenize = app.add_subcommand("detokenize", "token ids on stdin to text");
    auto* render = app.add_subcommand("render", "{\"messages\": [...]} on stdin to the prompt");
    for (auto* verb : {check, plan, logits, bench, tokenize, detokenize, render}) {
        verb->add_option("--model", model, "checkpoint folder")->required();
    }
    auto* prompt = app.add_subcommand("prompt", "fields (JSON) on stdin to a ready-made prompt");
    prompt
        ->add_option("kind", kind,
                     "system {date, language}, file {file_name, file_content, question} or "
                     "web {pages, date, question}")
        ->required()
        ->check(CLI::IsMember({"system", "file", "web"}));
    prompt->add_option("--wording", wording, "file of the words, as config/files/prompts")
        ->required();
    for (auto* verb : {tokenize, detokenize, render, prompt}) {
        verb->add_flag("--json", is_json, "print one JSON object");
    }
    CLI11_PARSE(app, argc, argv);

    if (serve->parsed()) return engine::serve(config, num_ranks, only_checks_config);
    if (rank_verb->parsed()) return engine::run_rank_process(rank);
    if (synth->parsed()) return engine::synth(synth_request);
    if (check->parsed()) return engine::check(model, checksums);
    if (plan->parsed()) return engine::plan(model, plan_request);
    if (logits->parsed()) {
        logits_request.model_dir = model;
        return engine::logits(logits_request);
    }
    if (bench->parsed()) {
        bench_request.model_dir = model;
        return engine::bench(bench_request);
    }
    if (tokenize->parsed()) return engine::tokenize(model, is_plain, is_json);
    if (detokenize->parsed()) return engine::detokenize(model, is_json);
    if (render->parsed()) return engine::render(model, is_json);
    return engine::prompt(wording, kind, is_json);
}
