// One MoE layer of DeepSeek-R1's shape in decode, random weights: each part by itself and the whole
// as a CUDA graph, beside the floor of the bytes that it must read at the read loop's bandwidth.
// layer_bench [batch...]
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/router.h"
#include "kernels/cuda/sampler.h"
#include "kernels/cuda/stream_experts.h"
#include "kernels/cuda/stream_linear.h"
#include "kernels/cuda/vector.h"
#include "tests/bench/cuda/device.cuh"

namespace turnpike::kernels::cuda {
namespace {

constexpr std::int64_t kHidden = 7168;
constexpr std::int64_t kExperts = 256;
constexpr std::int64_t kChosen = 8;
constexpr std::int64_t kIntermediate = 2048;
constexpr std::int64_t kContext = 4096;

struct Layer {
    explicit Layer(Arena& arena)
        : q_a(arena.fp8(1536, kHidden)),
          q_b(arena.fp8(24576, 1536)),
          kv_a(arena.fp8(576, kHidden)),
          o(arena.fp8(kHidden, 16384)),
          router(arena.bf16(kExperts, kHidden)),
          shared{arena.fp8(kIntermediate, kHidden), arena.fp8(kIntermediate, kHidden),
                 arena.fp8(kHidden, kIntermediate)} {
        shape.num_heads = 128;
        shape.nope_dim = 128;
        shape.rope_dim = 64;
        shape.v_dim = 128;
        shape.latent_dim = 512;
        shape.softmax_scale = 0.1F;
        kv_up.keys = arena.bf16(128 * 512, 128);
        kv_up.values = arena.bf16(128 * 128, 512);
        std::vector<ExpertView> views;
        for (std::int64_t e = 0; e < kExperts; ++e) {
            views.push_back({arena.fp8(kIntermediate, kHidden), arena.fp8(kIntermediate, kHidden),
                             arena.fp8(kHidden, kIntermediate)});
        }
        views.push_back(shared);
        expert = views.front();
        auto* const table = arena.raw(views.size() * sizeof(ExpertView));
        CUDA_CHECK(
            cudaMemcpy(table, views.data(), views.size() * sizeof(ExpertView), cudaMemcpyDefault));
        experts = static_cast<const ExpertView*>(table);
        norm = arena.floats<float>(kHidden, 0.5F, 1.5F);
        bias = arena.floats<float>(kExperts, 0.0F, 0.01F);
    }

    WeightView q_a, q_b, kv_a, o, router;
    ExpertView shared, expert;
    MlaShape shape;
    KvUpView kv_up;
    const ExpertView* experts;  // the shared one last
    const float* norm;
    const float* bias;

    // Of attention, router and shared expert: every batch reads them once.
    static constexpr double kFixedBytes =
        11.01e6 + 37.75e6 + 4.13e6 + 33.55e6 + 117.44e6 + 44.04e6 + 3.67e6;
    static constexpr double kExpertBytes = 44.04e6;
    static constexpr double kKeyBytes = 1152.0;
};

// Attention of `batch` rows, each with a context of its own.
struct Attended {
    Attended(Arena& arena, const MlaShape& shape, std::int64_t batch)
        : latent(arena.matrix(batch, shape.num_heads * 576)),
          out(arena.matrix(batch, shape.num_heads * 512)),
          rows(batch),
          heads(layout_of(shape)) {
        const std::int64_t blocks = kContext / kCacheBlockTokens;
        std::vector<AttentionRow> attention;
        std::vector<std::int32_t> tables;
        for (std::int64_t b = 0; b < batch; ++b) {
            attention.push_back({static_cast<std::int32_t>(b),
                                 static_cast<std::int32_t>(kContext - 1),
                                 static_cast<std::int32_t>(b * blocks)});
            for (std::int64_t i = 0; i < blocks; ++i)
                tables.push_back(static_cast<std::int32_t>((i * 7919 + b) % (blocks * batch)));
        }
        places = static_cast<AttentionRow*>(arena.raw(attention.size() * sizeof(AttentionRow)));
        CUDA_CHECK(cudaMemcpy(places, attention.data(), attention.size() * sizeof(AttentionRow),
                              cudaMemcpyDefault));
        auto* const table = arena.raw(tables.size() * 4);
        CUDA_CHECK(cudaMemcpy(table, tables.data(), tables.size() * 4, cudaMemcpyDefault));
        cache = {arena.bf16_values(static_cast<std::size_t>(batch * kContext * 576)), 576,
                 static_cast<const std::int32_t*>(table)};
        cudaDeviceProp device{};
        CUDA_CHECK(cudaGetDeviceProperties(&device, 0));
        plan = plan_attention(heads, batch, kContext, device.multiProcessorCount, false);
        fixed_plan = plan_attention(heads, batch, kContext, device.multiProcessorCount, true);
        workspace = arena.raw(std::max(attention_workspace_bytes(heads, batch, plan),
                                       attention_workspace_bytes(heads, batch, fixed_plan)));
    }

    void run(const AttentionPlan& used, cudaStream_t s) const {
        attend({latent, places, rows, heads, cache, used}, workspace, out, s);
    }

    MatrixView latent, out;
    std::int64_t rows;
    HeadLayout heads;
    AttentionRow* places;
    CacheView cache;
    AttentionPlan plan, fixed_plan;
    void* workspace;
};

// The buffers of one batch.
struct Step {
    Step(Arena& arena, const Layer& layer, std::int64_t batch)
        : rows(batch),
          is_among(batch <= 32),
          hidden(arena.matrix(batch, kHidden)),
          x(arena.matrix(batch, kHidden)),
          query_latent(arena.matrix(batch, 1536)),
          queries(arena.matrix(batch, 24576)),
          kv(arena.matrix(batch, 576)),
          attended(arena, layer.shape, batch),
          values(arena.matrix(batch, 16384)),
          projected(arena.matrix(batch, kHidden)),
          logits(arena.matrix(batch, kExperts)),
          random_logits(arena.matrix(batch, kExperts)),
          gate(arena.matrix(batch, kIntermediate)),
          up(arena.matrix(batch, kIntermediate)),
          expert_out(arena.matrix(batch * (kChosen + 1), kHidden)),
          x_codes(arena.coded(batch, kHidden)),
          latent_codes(arena.coded(batch, 1536)),
          value_codes(arena.coded(batch, 16384)),
          shared_codes(arena.coded(batch, kIntermediate)),
          x_parts(arena.split_rows(batch, kHidden)) {
        rope_queries = {128,
                        192,
                        128,
                        true,
                        32,
                        arena.floats<float>(static_cast<std::size_t>(batch) * 32, -1, 1),
                        arena.floats<float>(static_cast<std::size_t>(batch) * 32, -1, 1)};
        rope_keys = rope_queries;
        rope_keys.num_heads = 1;
        rope_keys.head_stride = 576;
        rope_keys.offset = 512;
        routing.rows = batch;
        routing.num_chosen = kChosen + (is_among ? 1 : 0);
        routing.num_experts = kExperts + (is_among ? 1 : 0);
        const auto slots = static_cast<std::size_t>(batch * routing.num_chosen);
        routing.experts = static_cast<std::int32_t*>(arena.raw(slots * 4));
        routing.weights = static_cast<float*>(arena.raw(slots * 4));
        routing.order = static_cast<std::int32_t*>(arena.raw(slots * 4));
        routing.offsets = static_cast<std::int32_t*>(arena.raw((kExperts + 2) * 4));
        routing.active = static_cast<std::int32_t*>(arena.raw((kExperts + 1) * 4));
        routing.positions = static_cast<std::int32_t*>(arena.raw((kExperts + 1) * 4));
        const std::int64_t positions = routing.max_positions();
        routing.slots =
            static_cast<std::int32_t*>(arena.raw(static_cast<std::size_t>(positions) * 4));
        gathered = arena.coded(positions, kHidden);
        expert_hidden = arena.matrix(positions, kIntermediate);
        expert_codes = arena.coded(positions, kIntermediate);
    }

    void attend_projections(const Layer& layer, cudaStream_t s) {
        rms_norm_quantise(hidden, layer.norm, 1e-6F, x_codes, s);
        coded_linear(x_codes, layer.q_a, query_latent, is_deterministic, s);
        coded_linear(x_codes, layer.kv_a, kv, is_deterministic, s);
        rms_norm_quantise(query_latent, layer.norm, 1e-6F, latent_codes, s);
        coded_linear(latent_codes, layer.q_b, queries, is_deterministic, s);
        rope(queries, rope_queries, s);
        const MatrixView latent_part = kv.col_range(0, 512);
        rms_norm(latent_part, layer.norm, 1e-6F, latent_part, s);
        rope(kv, rope_keys, s);
        write_kv(kv, attended.places, rows, attended.cache, s);
    }

    void absorb(const Layer& layer, cudaStream_t s) {
        absorb_queries(queries, layer.kv_up, layer.shape, attended.latent, s);
    }

    void project(const Layer& layer, cudaStream_t s) {
        project_values(attended.out, layer.kv_up, layer.shape, values, s);
    }

    void output(const Layer& layer, cudaStream_t s) {
        quantise(values, value_codes, s);
        coded_linear(value_codes, layer.o, projected, is_deterministic, s);
    }

    void choose(const Layer& layer, cudaStream_t s) {
        add_norm(projected, hidden, layer.norm, 1e-6F, x, s);
        quantise(x, x_codes, s);
        split(x, x_parts, s);
        stream_linear(x_parts, layer.router, logits, s);
        // Of rows of noise the router would choose the same few experts.
        route(random_logits, layer.bias, {kExperts, 8, 4, kChosen, true, 2.5F}, routing, s);
    }

    void run_experts(const Layer& layer, cudaStream_t s) {
        gather_codes(x_codes, routing, gathered, s);
        stream_gate_up(gathered, routing, layer.experts, layer.expert, expert_hidden, s);
        quantise_positions(expert_hidden, routing, expert_codes, s);
        MatrixView out = expert_out;
        out.rows = rows * routing.num_chosen;
        stream_down(expert_codes, routing, layer.experts, layer.expert, out, s);
        if (is_among) return combine_experts(out, routing, hidden, s);
        coded_linear(x_codes, layer.shared.gate, gate, is_deterministic, s);
        coded_linear(x_codes, layer.shared.up, up, is_deterministic, s);
        silu_mul_quantise(gate, up, shared_codes, s);
        coded_linear(shared_codes, layer.shared.down, projected, is_deterministic, s);
        combine_experts(out, routing, projected, hidden, s);
    }

    void whole(const Layer& layer, const AttentionPlan& used, cudaStream_t s) {
        attend_projections(layer, s);
        absorb(layer, s);
        attended.run(used, s);
        project(layer, s);
        output(layer, s);
        choose(layer, s);
        run_experts(layer, s);
    }

    // Experts that the rows chose, without the shared one.
    std::int64_t touched() const {
        std::vector<std::int32_t> experts(static_cast<std::size_t>(rows * routing.num_chosen));
        CUDA_CHECK(
            cudaMemcpy(experts.data(), routing.experts, experts.size() * 4, cudaMemcpyDefault));
        return static_cast<std::int64_t>(
                   std::set<std::int32_t>(experts.begin(), experts.end()).size()) -
               (is_among ? 1 : 0);
    }

    bool is_deterministic = false;  // linears
    std::int64_t rows;
    bool is_among;  // the shared expert, the others
    MatrixView hidden, x, query_latent, queries, kv, values, projected, logits, random_logits, gate,
        up, expert_hidden, expert_out;
    CodedRows x_codes, latent_codes, value_codes, shared_codes, gathered, expert_codes;
    SplitRows x_parts;
    Attended attended;
    RopeView rope_queries, rope_keys;
    RoutingView routing;
};

double graph_seconds(cudaStream_t stream, const std::function<void()>& body) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t runnable = nullptr;
    body();
    CUDA_CHECK(cudaStreamSynchronize(stream));
    CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    body();
    CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
    CUDA_CHECK(cudaGraphInstantiate(&runnable, graph, 0));
    const double seconds =
        seconds_of(stream, 9, 10, [&] { CUDA_CHECK(cudaGraphLaunch(runnable, stream)); });
    CUDA_CHECK(cudaGraphExecDestroy(runnable));
    CUDA_CHECK(cudaGraphDestroy(graph));
    return seconds;
}

void line(const char* name, double seconds, double bytes, double bandwidth) {
    std::printf("  %-28s %9.1f us %8.1f MB %7.0f GB/s %5.1f %%\n", name, seconds * 1e6,
                bytes * 1e-6, bytes / seconds * 1e-9, bytes / seconds / bandwidth * 100.0);
}

void bench_batch(const Layer& layer, std::int64_t batch, double bandwidth, cudaStream_t stream) {
    Arena arena;
    Step step(arena, layer, batch);
    step.whole(layer, step.attended.plan, stream);
    CUDA_CHECK(cudaStreamSynchronize(stream));
    const auto touched = static_cast<double>(step.touched());
    const auto rows = static_cast<double>(batch);
    const double keys = rows * static_cast<double>(kContext) * Layer::kKeyBytes;
    const auto run = [&](const char* name, double bytes, const std::function<void()>& body) {
        line(name, graph_seconds(stream, body), bytes, bandwidth);
    };
    std::printf("batch %ld, context %ld, %.0f experts touched, attention in %ld splits of %ld\n",
                batch, kContext, touched, step.attended.plan.num_splits,
                step.attended.plan.tokens_per_split);
    run("q_a, kv_a, q_b, rope, write", 52.9e6, [&] { step.attend_projections(layer, stream); });
    run("absorb", 16.8e6, [&] { step.absorb(layer, stream); });
    run("attend", keys, [&] { step.attended.run(step.attended.plan, stream); });
    run("project values", 16.8e6, [&] { step.project(layer, stream); });
    run("o", 117.44e6, [&] { step.output(layer, stream); });
    run("router", 3.67e6, [&] { step.choose(layer, stream); });
    run("experts, shared one, combine", (touched + 1) * Layer::kExpertBytes,
        [&] { step.run_experts(layer, stream); });
    const double bytes = Layer::kFixedBytes + touched * Layer::kExpertBytes + keys;
    run("layer", bytes, [&] { step.whole(layer, step.attended.plan, stream); });
    step.is_deterministic = true;
    run("layer, deterministic", bytes,
        [&] { step.whole(layer, step.attended.fixed_plan, stream); });
    const double flops = rows * 2.0 * 128.0 * static_cast<double>(kContext) * (576.0 + 512.0);
    const double attend_s =
        graph_seconds(stream, [&] { step.attended.run(step.attended.plan, stream); });
    std::printf("  attend: %.0f TFLOP/s\n", flops / attend_s * 1e-12);
}

// MLA decode of 16 heads a rank: what eight-way tensor parallelism leaves, bound by the keys.
void bench_few_heads(double bandwidth, cudaStream_t stream) {
    std::printf("attention of 16 heads, context %ld\n", kContext);
    for (const std::int64_t batch : {1, 8, 32, 128}) {
        Arena arena;
        MlaShape shape;
        shape.num_heads = 16;
        shape.nope_dim = 128;
        shape.rope_dim = 64;
        shape.v_dim = 128;
        shape.latent_dim = 512;
        shape.softmax_scale = 0.1F;
        const Attended call(arena, shape, batch);
        const std::string name = std::to_string(batch) + " rows";
        const double keys = static_cast<double>(batch * kContext) * Layer::kKeyBytes;
        line(name.c_str(), graph_seconds(stream, [&] { call.run(call.plan, stream); }), keys,
             bandwidth);
    }
}

// Layers of their own weights one behind the other, as a model has them.
void bench_stack(const std::vector<std::unique_ptr<Layer>>& layers, cudaStream_t stream) {
    for (const std::int64_t batch : {1, 128}) {
        Arena arena;
        Step step(arena, *layers.front(), batch);
        const double seconds = graph_seconds(stream, [&] {
            for (const auto& layer : layers) step.whole(*layer, step.attended.plan, stream);
        });
        const auto count = static_cast<double>(layers.size());
        std::printf("%zu layers, batch %ld: %.0f us, %.0f tokens/s; a layer %.0f us\n",
                    layers.size(), batch, seconds * 1e6, static_cast<double>(batch) / seconds,
                    seconds / count * 1e6);
    }
}

void bench_vector(double bandwidth, cudaStream_t stream) {
    std::printf("linears by themselves, every one of 32 copies' weights read in turn\n");

    struct Case {
        const char* name;
        std::int64_t n, k;
    };

    for (const Case& shape : {Case{"7168 x 16384", 7168, 16384}, Case{"24576 x 1536", 24576, 1536},
                              Case{"2048 x 7168", 2048, 7168}, Case{"7168 x 2048", 7168, 2048},
                              Case{"576 x 7168", 576, 7168}}) {
        for (const std::int64_t rows : {1, 8, 32, 128}) {
            Arena arena;
            std::vector<WeightView> weights;
            const int copies = static_cast<int>(400'000'000 / (shape.n * shape.k)) + 1;
            for (int i = 0; i < copies; ++i) weights.push_back(arena.fp8(shape.n, shape.k));
            const CodedRows x = arena.coded(rows, shape.k);
            const MatrixView out = arena.matrix(rows, shape.n);
            const double seconds = graph_seconds(stream, [&] {
                for (const WeightView& w : weights) stream_linear(x, w, out, stream);
            });
            const std::string name =
                std::string(shape.name) + ", " + std::to_string(rows) + " rows";
            line(name.c_str(), seconds / copies, static_cast<double>(shape.n * shape.k), bandwidth);
        }
    }
}

void bench_sampler(cudaStream_t stream) {
    for (const std::int64_t rows : {1, 128}) {
        Arena arena;
        const MatrixView logits = arena.matrix(rows, 129280);
        std::vector<SampleRow> params(static_cast<std::size_t>(rows));
        for (SampleRow& row : params) {
            row.temperature = 0.6;
            row.top_p = 0.95;
        }
        auto* const rows_device =
            static_cast<SampleRow*>(arena.raw(params.size() * sizeof(SampleRow)));
        CUDA_CHECK(cudaMemcpy(rows_device, params.data(), params.size() * sizeof(SampleRow),
                              cudaMemcpyDefault));
        auto* const results =
            static_cast<SampleResult*>(arena.raw(params.size() * sizeof(SampleResult)));
        void* const workspace = arena.raw(sample_workspace_bytes(rows, 129280));
        const double seconds = seconds_of(stream, 5, 2, [&] {
            sample(logits, 129280, rows_device, {}, workspace, results, stream);
        });
        std::printf("sample, %ld rows of 129280, top-p 0.95: %.0f us\n", rows, seconds * 1e6);
    }
}

}  // namespace
}  // namespace turnpike::kernels::cuda

int main(int argc, char** argv) {
    using namespace turnpike::kernels::cuda;
    cudaStream_t stream = nullptr;
    CUDA_CHECK(cudaStreamCreate(&stream));
    cudaDeviceProp device{};
    CUDA_CHECK(cudaGetDeviceProperties(&device, 0));
    const double bandwidth = read_bandwidth();
    std::printf("%s, %d multiprocessors, read loop %.0f GB/s\n", device.name,
                device.multiProcessorCount, bandwidth * 1e-9);
    std::vector<std::unique_ptr<Arena>> arenas;
    std::vector<std::unique_ptr<Layer>> layers;
    const auto add_layer = [&] {
        arenas.push_back(std::make_unique<Arena>());
        layers.push_back(std::make_unique<Layer>(*arenas.back()));
    };
    add_layer();
    std::vector<std::int64_t> batches;
    for (int i = 1; i < argc; ++i) batches.push_back(std::atol(argv[i]));
    if (batches.empty()) batches = {1, 8, 32, 128};
    for (const std::int64_t batch : batches) bench_batch(*layers.front(), batch, bandwidth, stream);
    bench_few_heads(bandwidth, stream);
    bench_vector(bandwidth, stream);
    bench_sampler(stream);
    // A layer takes 11.5 GB.
    constexpr std::size_t kLayerBytes = std::size_t{12} << 30;
    std::size_t free = 0;
    std::size_t total = 0;
    CUDA_CHECK(cudaMemGetInfo(&free, &total));
    while (layers.size() < 8 && free > kLayerBytes) {
        add_layer();
        CUDA_CHECK(cudaMemGetInfo(&free, &total));
    }
    bench_stack(layers, stream);
}
