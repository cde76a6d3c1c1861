// turnpike-engine: one model replica. `serve` runs it; the other verbs make and inspect
// checkpoints.
#include <CLI/CLI.hpp>

#include "engine/serve/verbs.h"

int main(int argc, char** argv) {
    using namespace turnpike;
    CLI::App app("turnpike-engine: serves one model, and makes and inspects checkpoints");
    app.require_subcommand(1);
    std::string config;
    std::string model;
    std::string out;
    std::string tokens;
    std::uint64_t seed = 1;
    bool only_checks_config = false;

    auto* serve = app.add_subcommand("serve", "serve a model over HTTP");
    serve->add_option("--config", config, "settings file (JSON)")->required();
    serve->add_flag("--check-config", only_checks_config, "print the effective settings and exit");
    auto* synth = app.add_subcommand("synth", "write a deterministic random checkpoint");
    synth->add_option("--config", config, "config.json of the architecture")->required();
    synth->add_option("--seed", seed, "seed of the weights");
    synth->add_option("--out", out, "folder to write")->required();
    auto* check = app.add_subcommand("check", "check a checkpoint's files against its config");
    auto* logits = app.add_subcommand("logits", "write the logits of every position as .npy");
    logits->add_option("--tokens", tokens, "file of token ids")->required();
    logits->add_option("--out", out, "file to write")->required();
    auto* tokenize = app.add_subcommand("tokenize", "text on stdin to token ids");
    auto* detokenize = app.add_subcommand("detokenize", "token ids on stdin to text");
    auto* render = app.add_subcommand("render", "messages (JSON) on stdin to prompt text and ids");
    for (auto* verb : {check, logits, tokenize, detokenize, render}) {
        verb->add_option("--model", model, "checkpoint folder")->required();
    }
    CLI11_PARSE(app, argc, argv);

    if (serve->parsed()) return engine::serve(config, only_checks_config);
    if (synth->parsed()) return engine::synth(config, seed, out);
    if (check->parsed()) return engine::check(model);
    if (logits->parsed()) return engine::logits(model, tokens, out);
    if (tokenize->parsed()) return engine::tokenize(model);
    if (detokenize->parsed()) return engine::detokenize(model);
    return engine::render(model);
}
