// CudaBackend: ties the launchers of this folder to the Backend interface. Ops run in order on one
// stream, held back until download, route or sample waits for them.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "config/base/check.h"
#include "kernels/api/cuda.h"
#include "kernels/api/own.h"
#include "kernels/cuda/attention.h"
#include "kernels/cuda/error.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/kv_cache.h"
#include "kernels/cuda/linear_small.h"
#include "kernels/cuda/router.h"
#include "kernels/cuda/sample_input.h"
#include "kernels/cuda/sampler.h"
#include "kernels/cuda/stream_experts.h"
#include "kernels/cuda/stream_linear.h"
#include "kernels/cuda/vector.h"
#include "kernels/cuda/weights.h"
#include "kernels/cuda/workspace.h"

namespace turnpike::kernels {
namespace cuda {
namespace {

// Of the overloads, those of BF16 weights and of what has the shared expert among the others.
constexpr void (*kStreamBf16)(const SplitRows&,
                              const WeightView&,
                              MatrixView,
                              cudaStream_t) = stream_linear;
constexpr void (*kStreamBf16Group)(const SplitRows&,
                                   const StreamGroup&,
                                   cudaStream_t) = stream_linears;
constexpr void (*kStreamCodedGroup)(const CodedRows&,
                                    const StreamGroup&,
                                    cudaStream_t) = stream_linears;
constexpr void (*kCombineAll)(MatrixView,
                              const RoutingView&,
                              MatrixView,
                              cudaStream_t) = cuda::combine_experts;
constexpr void (*kCombineWithShared)(
    MatrixView, const RoutingView&, MatrixView, MatrixView, cudaStream_t) = cuda::combine_experts;

class CudaBackend final : public Backend, private Workspace {
  public:
    CudaBackend(const BackendOptions& options, const CudaDevice& device)
        : numerics_(options.numerics),
          is_deterministic_(options.is_deterministic),
          device_(device) {}

    // What was launched last may still read buffers that go with this object. What was held back
    // nobody waits for, and the memory of its caller may be gone.
    ~CudaBackend() override { (void)cudaStreamSynchronize(stream_); }

    CudaBackend(const CudaBackend&) = delete;
    CudaBackend& operator=(const CudaBackend&) = delete;

    std::string_view name() const override { return "cuda-sm90a"; }

    DType activation_dtype() const override { return DType::kF32; }

    // The host does not know which experts a step touches: as many as it has slots, at most all.
    OpCounts counts() const override { return counts_; }

    std::unique_ptr<Buffer> allocate(std::size_t num_bytes) override {
        // What it takes the place of may be freed behind this.
        flush();
        return std::make_unique<DeviceBuffer>(num_bytes);
    }

    void download(MatrixView matrix, std::span<float> out) override {
        CHECK(static_cast<std::int64_t>(out.size()) == matrix.rows * matrix.cols);
        if (out.empty()) return;
        flush();
        const auto row_bytes = static_cast<std::size_t>(matrix.cols) * sizeof(float);
        CUDA_CHECK(cudaMemcpy2DAsync(out.data(), row_bytes, matrix.data,
                                     static_cast<std::size_t>(matrix.stride) * sizeof(float),
                                     row_bytes, static_cast<std::size_t>(matrix.rows),
                                     cudaMemcpyDeviceToHost, stream_));
        wait();
    }

    Result<std::unique_ptr<PreparedWeight>> prepare(const WeightSource& source) override {
        auto weight = DeviceWeight::make(source);
        if (!weight) return weight.error();
        return std::unique_ptr<PreparedWeight>(std::move(*weight));
    }

    Result<std::unique_ptr<PreparedWeight>> prepare_kv_up(const WeightSource& source,
                                                          const MlaShape& shape) override {
        auto weight = DeviceKvUp::make(source, shape);
        if (!weight) return weight.error();
        return std::unique_ptr<PreparedWeight>(std::move(*weight));
    }

    std::unique_ptr<KvCache> make_kv_cache(const KvCacheShape& shape) override {
        return std::make_unique<DeviceCache>(shape);
    }

    void embed(std::span<const std::int32_t> tokens,
               const PreparedWeight& table,
               MatrixView out) override {
        CHECK(static_cast<std::int64_t>(tokens.size()) == out.rows);
        for (const std::int32_t token : tokens) CHECK(token >= 0 && token < table.rows());
        make_room(tokens.size_bytes());
        queue_.put(cuda::embed, uploads_.put(tokens), view_of(table), out);
    }

    void gather_rows(MatrixView x, std::span<const std::int64_t> rows, MatrixView out) override {
        CHECK(static_cast<std::int64_t>(rows.size()) == out.rows);
        for (const std::int64_t row : rows) CHECK(row >= 0 && row < x.rows);
        make_room(rows.size_bytes());
        queue_.put(cuda::gather_rows, x, uploads_.put(rows), out);
    }

    void rms_norm(MatrixView x,
                  const PreparedWeight& weight,
                  float epsilon,
                  MatrixView out) override {
        CHECK(weight.rows() == 1 && weight.cols() == x.cols);
        queue_.put(cuda::rms_norm, x, own<const DeviceWeight>(weight).vector(), epsilon, out);
    }

    void add_norm(MatrixView x,
                  MatrixView accumulator,
                  const PreparedWeight& weight,
                  float epsilon,
                  MatrixView out) override {
        CHECK(weight.rows() == 1 && weight.cols() == x.cols);
        queue_.put(cuda::add_norm, x, accumulator, own<const DeviceWeight>(weight).vector(),
                   epsilon, out);
    }

    void rms_norm_heads(MatrixView x,
                        std::int64_t num_heads,
                        const PreparedWeight& weight,
                        float epsilon) override {
        CHECK(weight.rows() == 1);
        queue_.put(cuda::rms_norm_heads, x, num_heads, weight.cols(),
                   own<const DeviceWeight>(weight).vector(), epsilon);
    }

    void linear(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        const WeightView& view = view_of(weight);
        count(weight, x.rows);
        if (is_coded(view)) return queue_.put(coded_linear, coded(x), view, out, is_deterministic_);
        if (view.dtype == DType::kBf16) return queue_.put(kStreamBf16, split_rows(x), view, out);
        queue_.put(linear_small, x, view, out);
    }

    void linears(MatrixView x, std::span<const Product> products) override {
        // Of more rows each fills the GPU by itself.
        constexpr std::int64_t kFewRows = 64;
        const DType dtype = view_of(*products.front().weight).dtype;
        const bool is_one = std::all_of(products.begin(), products.end(), [&](const auto& product) {
            return view_of(*product.weight).dtype == dtype;
        });
        const bool is_coded_all = is_coded(view_of(*products.front().weight));
        const bool is_grouped = is_one && products.size() <= kMaxProducts &&
                                (is_coded_all || dtype == DType::kBf16) &&
                                (is_deterministic_ || x.rows <= kFewRows);
        if (!is_grouped) return Backend::linears(x, products);
        StreamGroup group;
        for (const Product& product : products) {
            count(*product.weight, x.rows);
            group.products[group.count++] = {view_of(*product.weight), product.out};
        }
        if (is_coded_all) return queue_.put(kStreamCodedGroup, coded(x), group);
        queue_.put(kStreamBf16Group, split_rows(x), group);
    }

    void linear_split_k(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        linear(x, weight, out);
    }

    void silu_mul(MatrixView gate, MatrixView up, MatrixView out) override {
        queue_.put(cuda::silu_mul, gate, up, out);
    }

    void add(MatrixView x, MatrixView accumulator) override {
        queue_.put(cuda::add, x, accumulator);
    }

    void rope(MatrixView x, const RopeColumns& columns, const RopeRows& rows) override {
        CHECK(static_cast<std::int64_t>(rows.cosines.size()) == x.rows * rows.num_pairs);
        RopeView view;
        view.num_heads = columns.num_heads;
        view.head_stride = columns.head_stride;
        view.offset = columns.offset;
        view.is_interleaved = columns.pairs == RopePairs::kInterleaved;
        view.num_pairs = rows.num_pairs;
        make_room(2 * rows.cosines.size() * sizeof(float));
        view.cosines = uploads_.put(std::span<const float>(rows.cosines));
        view.sines = uploads_.put(std::span<const float>(rows.sines));
        queue_.put(cuda::rope, x, view);
    }

    void write_kv(MatrixView rows,
                  std::span<const AttentionSlice> slices,
                  std::int64_t layer,
                  KvCache& cache) override {
        const UploadedSlices uploaded = upload(slices, rows.rows);
        queue_.put(cuda::write_kv, rows, uploaded.rows, uploaded.num_rows,
                   cache_view(cache, layer, uploaded.tables));
    }

    void attend_naive(MatrixView queries,
                      std::span<const AttentionSlice> slices,
                      const PreparedWeight& kv_up,
                      const MlaShape& shape,
                      std::int64_t layer,
                      const KvCache& cache,
                      MatrixView out) override {
        attend_absorbed(queries, slices, kv_up, shape, layer, cache, out);
    }

    void attend_absorbed(MatrixView queries,
                         std::span<const AttentionSlice> slices,
                         const PreparedWeight& kv_up,
                         const MlaShape& shape,
                         std::int64_t layer,
                         const KvCache& cache,
                         MatrixView out) override {
        // Runs of slices whose rows follow each other: rows of no slice stay as they are.
        for (std::size_t begin = 0; begin < slices.size();) {
            std::vector<AttentionSlice> run;
            const std::int64_t first = slices[begin].first_row;
            std::int64_t end = first;
            for (; begin < slices.size() && slices[begin].first_row == end; ++begin) {
                run.push_back(slices[begin]);
                run.back().first_row -= first;
                end += slices[begin].num_rows;
            }
            attend_latent(queries.row_range(first, end - first), run, kv_up, shape, layer, cache,
                          out.row_range(first, end - first));
        }
    }

    void attend_grouped(MatrixView queries,
                        std::span<const AttentionSlice> slices,
                        const GqaShape& shape,
                        std::int64_t layer,
                        const KvCache& cache,
                        MatrixView out) override {
        attend(queries, slices, layout_of(shape), layer, cache, out);
    }

    Routing route(MatrixView logits,
                  const PreparedWeight& bias,
                  const RouterShape& shape) override {
        CHECK(bias.rows() == 1 && bias.cols() == shape.num_experts);
        Routing routing{logits.rows, shape.num_chosen, {}, {}};
        if (logits.rows == 0) return routing;
        const RoutingView view = routing_view(logits.rows, shape.num_chosen, shape.num_experts);
        queue_.put(cuda::route, logits, own<const DeviceWeight>(bias).vector(), shape, view);
        flush();
        const auto num_slots = static_cast<std::size_t>(view.num_slots());
        routing.experts.resize(num_slots);
        routing.weights.resize(num_slots);
        copy_down(view.experts, routing.experts);
        copy_down(view.weights, routing.weights);
        wait();
        return routing;
    }

    void run_experts(MatrixView x,
                     const Routing& routing,
                     std::span<const MlpWeights> experts,
                     MatrixView out) override {
        CHECK(routing.rows == x.rows && out.rows == x.rows * routing.num_chosen);
        CHECK(out.cols == x.cols);
        if (out.rows == 0) return;
        const RoutingView view = upload(routing, static_cast<std::int64_t>(experts.size()));
        run(x, view, table_of(experts, {}), view_of(experts.front()), out);
    }

    // The shared expert is one more, which every row chooses with a weight of 1, where that is
    // fast.
    bool run_moe(const MoeBlock& block, MatrixView x, MatrixView accumulator) override {
        const RouterShape& shape = block.shape;
        if (!can_share(block)) return false;
        if (x.rows == 0) return true;
        const MatrixView logits = scratch(kRouterLogits, x.rows, shape.num_experts);
        linear(x, *block.router, logits);
        const bool is_among = shares(x.rows, block.shape);
        const std::int64_t num_shared = is_among ? 1 : 0;
        const RoutingView view =
            routing_view(x.rows, shape.num_chosen + num_shared, shape.num_experts + num_shared);
        queue_.put(cuda::route, logits, own<const DeviceWeight>(*block.bias).vector(), shape, view);
        const MatrixView out = scratch(kExpertOut, view.num_slots(), x.cols);
        run(x, view, table_of(block.experts, block.shared), view_of(block.shared), out);
        if (!is_among) {
            const MatrixView shared = scratch(kSharedOut, x.rows, x.cols);
            run_mlp(x, block.shared, shared);
            queue_.put(kCombineWithShared, out, view, shared, accumulator);
            return true;
        }
        queue_.put(kCombineAll, out, view, accumulator);
        return true;
    }

    void combine_experts(MatrixView expert_out,
                         const Routing& routing,
                         MatrixView shared,
                         MatrixView accumulator) override {
        RoutingView view;
        view.rows = routing.rows;
        view.num_chosen = routing.num_chosen;
        make_room(routing.weights.size() * sizeof(float));
        view.weights = const_cast<float*>(uploads_.put(std::span<const float>(routing.weights)));
        queue_.put(kCombineWithShared, expert_out, view, shared, accumulator);
    }

    void sample(MatrixView logits,
                std::span<const SampleParams> params,
                std::int64_t num_tokens,
                std::span<SampledRow> out) override {
        CHECK(static_cast<std::int64_t>(params.size()) == logits.rows);
        CHECK(params.size() == out.size());
        if (params.empty()) return;
        SampleInput input;
        for (const SampleParams& row : params) input.take(row);
        make_room(input.num_bytes());
        const SampleLists lists{uploads_.put(std::span<const SeenToken>(input.seen)),
                                uploads_.put(std::span<const TokenBias>(input.bias)),
                                uploads_.put(std::span<const std::uint32_t>(input.allowed))};
        auto* const results =
            static_cast<SampleResult*>(room(kSampleResults, params.size() * sizeof(SampleResult)));
        queue_.put(cuda::sample, logits, num_tokens,
                   uploads_.put(std::span<const SampleRow>(input.rows)), lists,
                   room(kSampleWork, sample_workspace_bytes(logits.rows, num_tokens)), results);
        flush();
        std::vector<SampleResult> found(params.size());
        copy_down(results, found);
        wait();
        for (std::size_t i = 0; i < out.size(); ++i) {
            const SampleResult& result = found[i];
            out[i] = {result.token,
                      result.logprob,
                      {result.alternatives, result.alternatives + result.num_alternatives}};
        }
    }

  private:
    static const WeightView& view_of(const PreparedWeight& weight) {
        return own<const DeviceWeight>(weight).view();
    }

    static ExpertView view_of(const MlpWeights& weights) {
        return {view_of(*weights.gate), view_of(*weights.up), view_of(*weights.down)};
    }

    bool is_coded(const WeightView& weight) const {
        return numerics_ == Numerics::kW8A8Block && weight.dtype == DType::kF8E4M3;
    }

    static std::int64_t bytes_of(const WeightView& view) {
        return view.rows * view.cols * static_cast<std::int64_t>(dtype_bytes(view.dtype));
    }

    void count(const PreparedWeight& weight, std::int64_t rows) {
        counts_.weight_bytes += bytes_of(view_of(weight));
        counts_.flops += 2 * rows * weight.rows() * weight.cols();
    }

    static CacheView cache_view(const KvCache& cache,
                                std::int64_t layer,
                                const std::int32_t* tables) {
        return {own<const DeviceCache>(cache).layer(layer), cache.shape().row_dim, tables};
    }

    void attend(MatrixView queries,
                std::span<const AttentionSlice> slices,
                const HeadLayout& layout,
                std::int64_t layer,
                const KvCache& cache,
                MatrixView out) {
        const UploadedSlices uploaded = upload(slices, queries.rows);
        AttentionCall call;
        call.queries = queries;
        call.rows = uploaded.rows;
        call.num_rows = uploaded.num_rows;
        call.layout = layout;
        call.cache = cache_view(cache, layer, uploaded.tables);
        call.plan = plan_attention(layout, uploaded.num_rows, uploaded.max_tokens,
                                   device_.num_multiprocessors, is_deterministic_);
        void* const workspace =
            room(kPartials, attention_workspace_bytes(layout, uploaded.num_rows, call.plan));
        queue_.put(cuda::attend, call, workspace, out);
    }

    void attend_latent(MatrixView queries,
                       std::span<const AttentionSlice> slices,
                       const PreparedWeight& kv_up,
                       const MlaShape& shape,
                       std::int64_t layer,
                       const KvCache& cache,
                       MatrixView out) {
        const KvUpView& view = own<const DeviceKvUp>(kv_up).view();
        counts_.weight_bytes += bytes_of(view.keys) + bytes_of(view.values);
        counts_.flops += 2 * queries.rows *
                         (view.keys.rows * view.keys.cols + view.values.rows * view.values.cols);
        const MatrixView latent =
            scratch(kLatentQueries, queries.rows, shape.num_heads * shape.cache_dim());
        queue_.put(absorb_queries, queries, view, shape, latent);
        const MatrixView attended =
            scratch(kAttended, queries.rows, shape.num_heads * shape.latent_dim);
        attend(latent, slices, layout_of(shape), layer, cache, attended);
        queue_.put(project_values, attended, view, shape, out);
    }

    // Whether the shared expert can stand in one table with the others.
    static bool can_share(const MoeBlock& block) {
        RouterShape wider = block.shape;
        wider.num_experts += 1;
        wider.num_chosen += 1;
        if (block.shared.gate == nullptr || !can_route(wider)) return false;
        const ExpertView one = view_of(block.experts.front());
        const ExpertView shared = view_of(block.shared);
        return one.gate.rows == shared.gate.rows && one.gate.dtype == shared.gate.dtype &&
               one.down.dtype == shared.down.dtype;
    }

    // Of some dozens of rows the shared expert would have most, in kernels for a few rows each.
    bool shares(std::int64_t rows, const RouterShape& shape) const {
        constexpr std::int64_t kFewRows = 32;
        return is_deterministic_ || rows <= kFewRows ||
               has_many(rows * shape.num_chosen, shape.num_experts);
    }

    // Rows enough for the kernels of prompts.
    bool has_many(std::int64_t num_slots, std::int64_t num_experts) const {
        return !is_deterministic_ && num_slots / num_experts >= kGemmRowsPerExpert;
    }

    void run_mlp(MatrixView x, const MlpWeights& weights, MatrixView out) {
        const std::int64_t width = weights.gate->rows();
        const MatrixView gate = scratch(kSharedGate, x.rows, width);
        const MatrixView up = scratch(kSharedUp, x.rows, width);
        const Product products[] = {{weights.gate, gate}, {weights.up, up}};
        linears(x, products);
        silu_mul(gate, up, gate);
        linear(gate, *weights.down, out);
    }

    // out: [view.num_slots(), x.cols], what each slot's expert makes of its row.
    void run(MatrixView x,
             const RoutingView& view,
             const ExpertView* table,
             const ExpertView& shape,
             MatrixView out) {
        for (const WeightView* weight : {&shape.gate, &shape.up, &shape.down}) {
            counts_.weight_bytes += view.max_active() * bytes_of(*weight);
            counts_.flops += 2 * out.rows * weight->rows * weight->cols;
        }
        const std::int64_t intermediate = shape.gate.rows;
        if (is_coded(shape.gate)) {
            const std::int64_t positions = view.max_positions();
            const CodedRows gathered = codes(kGatheredCodes, kGatheredScales, positions, x.cols);
            queue_.put(gather_codes, coded(x), view, gathered);
            const MatrixView middle = scratch(kExpertHidden, positions, intermediate);
            const bool by_gemm = has_many(view.num_slots(), view.num_experts);
            const auto gate_up = by_gemm ? gemm_gate_up : stream_gate_up;
            const auto down = by_gemm ? gemm_down : stream_down;
            queue_.put(gate_up, gathered, view, table, shape, middle);
            const CodedRows middle_codes = codes(kCodes, kScales, positions, intermediate);
            queue_.put(quantise_positions, middle, view, middle_codes);
            return queue_.put(down, middle_codes, view, table, shape, out);
        }
        const MatrixView hidden = scratch(kExpertHidden, out.rows, intermediate);
        queue_.put(experts_gate_up, x, view, table, shape, hidden);
        queue_.put(experts_down, hidden, view, table, shape, out);
    }

    // The experts' weights as the kernels read them, the shared one last where there is one: one
    // table a layer, made at its first use.
    const ExpertView* table_of(std::span<const MlpWeights> experts, const MlpWeights& shared) {
        auto& table = tables_[{experts.front().gate, shared.gate}];
        if (table == nullptr) {
            std::vector<ExpertView> views;
            for (const MlpWeights& weights : experts) views.push_back(view_of(weights));
            if (shared.gate != nullptr) views.push_back(view_of(shared));
            table = std::make_unique<DeviceBuffer>(views.size() * sizeof(ExpertView));
            CUDA_CHECK(cudaMemcpy(table->data(), views.data(), views.size() * sizeof(ExpertView),
                                  cudaMemcpyHostToDevice));
        }
        return static_cast<const ExpertView*>(table->data());
    }

    const Numerics numerics_;
    const bool is_deterministic_;
    const CudaDevice device_;
    OpCounts counts_;
    // By the first expert's weight and the shared expert's.
    std::map<std::pair<const PreparedWeight*, const PreparedWeight*>, std::unique_ptr<DeviceBuffer>>
        tables_;
};

Error no_device(const std::string& reason) {
    return Error{ErrorCode::kUnavailable, "no CUDA device: " + reason, {}};
}

}  // namespace
}  // namespace cuda

Result<CudaDevice> find_cuda_device(int index) {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) return cuda::no_device(cudaGetErrorString(status));
    if (index < 0 || index >= count) {
        return invalid_argument("device " + std::to_string(index) + ": expected 0 to " +
                                std::to_string(count - 1));
    }
    cudaDeviceProp properties{};
    CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
    if (properties.major != 9 || properties.minor != 0) {
        return invalid_argument(std::string(properties.name) + " has compute capability " +
                                std::to_string(properties.major) + "." +
                                std::to_string(properties.minor) + ", expected 9.0 (Hopper)");
    }
    CUDA_CHECK(cudaSetDevice(index));
    std::size_t free = 0;
    std::size_t total = 0;
    CUDA_CHECK(cudaMemGetInfo(&free, &total));
    char bus_id[32] = {};
    CUDA_CHECK(cudaDeviceGetPCIBusId(bus_id, sizeof bus_id, index));
    return CudaDevice{properties.name, properties.multiProcessorCount,
                      static_cast<std::int64_t>(total), static_cast<std::int64_t>(free), bus_id};
}

Result<std::unique_ptr<Backend>> make_cuda_backend(const BackendOptions& options, int device) {
    const auto found = find_cuda_device(device);
    if (!found) return found.error();
    return std::unique_ptr<Backend>(std::make_unique<cuda::CudaBackend>(options, *found));
}

}  // namespace turnpike::kernels
