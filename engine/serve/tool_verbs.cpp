// The verbs that make and inspect checkpoints.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "engine/model/load.h"
#include "engine/model/synth.h"
#include "engine/serve/checksums.h"
#include "engine/serve/verbs.h"
#include "engine/text/synth_tokenizer.h"
#include "engine/text/tokenizer.h"

namespace turnpike::engine {
namespace {

Status write_file(const std::string& path, const std::string& bytes) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << bytes;
    file.close();
    if (!file) return errno_error("cannot write " + path);
    return {};
}

// NumPy's format 1.0: magic, version, header length, a Python dictionary padded to 64 bytes, then
// the data.
std::string npy_header(std::size_t rows, std::size_t columns) {
    std::string dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
                             std::to_string(rows) + ", " + std::to_string(columns) + "), }";
    constexpr std::size_t kPreambleBytes = 10;
    dictionary.append(63 - (kPreambleBytes + dictionary.size()) % 64, ' ');
    dictionary += '\n';
    std::string header = "\x93NUMPY";
    header += '\x01';
    header += '\0';
    header += static_cast<char>(dictionary.size() & 0xFF);
    header += static_cast<char>(dictionary.size() >> 8);
    return header + dictionary;
}

}  // namespace

int synth(const SynthRequest& request) {
    const std::string& out_dir = request.out_dir;
    SynthOptions options;
    options.config_path = request.config_file;
    options.seed = request.seed;
    options.out_dir = out_dir;
    options.num_shards = request.num_shards;
    options.is_sparse = request.is_sparse;
    if (const Status status = synthesize_checkpoint(options); !status) return fail(status.error());
    const auto info = read_model_info(out_dir);
    if (!info) return fail(info.error());
    const auto tokenizer = text::synthesize_tokenizer_json(info->vocab_size);
    if (!tokenizer) return fail(tokenizer.error());
    if (const Status status = write_file(out_dir + "/tokenizer.json", *tokenizer); !status)
        return fail(status.error());
    const Status status =
        write_file(out_dir + "/tokenizer_config.json", text::synthesize_tokenizer_config_json());
    if (!status) return fail(status.error());
    std::uintmax_t num_bytes = 0;
    int num_files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(out_dir)) {
        num_bytes += entry.file_size();
        ++num_files;
    }
    std::printf("%s: %d files, %.1f MB, %s\n", out_dir.c_str(), num_files,
                static_cast<double>(num_bytes) / 1e6, info->architecture.c_str());
    return 0;
}

int check(const std::string& model_dir, const std::string& checksums_file) {
    if (const Status status = check_checkpoint(model_dir); !status) return fail(status.error());
    if (!checksums_file.empty()) {
        const auto count = check_checksums(model_dir, checksums_file);
        if (!count) return fail(count.error());
        std::printf("%s: %d files have the checksums of %s\n", model_dir.c_str(), *count,
                    checksums_file.c_str());
    }
    const auto tokenizer = text::Tokenizer::load(model_dir + "/tokenizer.json");
    if (!tokenizer) return fail(tokenizer.error());
    std::printf("%s: every tensor and the tokenizer are as the config says\n", model_dir.c_str());
    return 0;
}

int plan(const std::string& model_dir, const PlanRequest& request) {
    const auto plan = plan_memory(model_dir, request);
    if (!plan) return fail(plan.error());
    constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
    std::printf("%s: %s, %llu tensors, %.2f GiB\n", model_dir.c_str(), plan->architecture.c_str(),
                static_cast<unsigned long long>(plan->num_tensors),
                static_cast<double>(plan->num_bytes) / kGib);
    std::printf(
        "%lld GPUs of %.1f GiB, %.1f GiB of each kept for activations; %lld sequences of "
        "%lld tokens\n",
        static_cast<long long>(request.num_gpus), request.gpu_memory_gib, request.overhead_gib,
        static_cast<long long>(request.concurrency), static_cast<long long>(plan->context));
    for (const LayoutPlan& layout : plan->layouts) {
        std::printf("%s: %s\n", layout.name.c_str(), layout.fits() ? "yes" : "no");
        if (!layout.obstacle.empty()) std::printf("  %s\n", layout.obstacle.c_str());
        std::printf("  weights per GPU  %10.2f GiB\n", layout.weight_bytes / kGib);
        std::printf("  KV per token     %10.0f bytes on a GPU\n", layout.kv_bytes_per_token);
        std::printf("  KV tokens        %10lld in all, %lld needed\n",
                    static_cast<long long>(layout.kv_tokens),
                    static_cast<long long>(layout.kv_tokens_needed));
        std::printf("  headroom per GPU %10.2f GiB\n", layout.headroom_bytes / kGib);
    }
    std::printf("%s\n", plan->fits() ? "yes" : "no");
    return plan->fits() ? 0 : 1;
}

int logits(const LogitsRequest& request) {
    std::ifstream stream(request.tokens_file);
    if (!stream) return fail(errno_error("cannot open " + request.tokens_file));
    const auto tokens = read_tokens(stream);
    if (!tokens) return fail(tokens.error());
    RunnerOptions options;
    options.model_dir = request.model_dir;
    options.isa = request.isa;
    if (request.numerics == "w8a8_block") options.numerics = schema::Numerics::kW8A8Block;
    const auto compute = request.is_draft ? compute_draft_logits : compute_logits;
    const auto values = compute(options, *tokens, request.prompt_rows);
    if (!values) return fail(values.error());
    const std::size_t rows = tokens->size() - (request.is_draft ? 1 : 0);
    std::string bytes = npy_header(rows, values->size() / rows);
    bytes.append(reinterpret_cast<const char*>(values->data()), values->size() * sizeof(float));
    if (const Status status = write_file(request.out_file, bytes); !status) {
        return fail(status.error());
    }
    return 0;
}

}  // namespace turnpike::engine
