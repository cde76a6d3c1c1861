// CudaBackend: ties the launchers of this folder to the Backend interface. Ops run in order on one
// stream; download, route and sample wait for it.
#include <algorithm>
#include <string>
#include <unordered_map>
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
#include "kernels/cuda/memory.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/router.h"
#include "kernels/cuda/sample_input.h"
#include "kernels/cuda/sampler.h"
#include "kernels/cuda/sorted_slots.h"
#include "kernels/cuda/stream_experts.h"
#include "kernels/cuda/stream_linear.h"
#include "kernels/cuda/vector.h"
#include "kernels/cuda/weights.h"

namespace turnpike::kernels {
namespace cuda {
namespace {

constexpr std::size_t kUploadBytes = std::size_t{32} << 20;

class Stream {
  public:
    Stream() { CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }

    ~Stream() { (void)cudaStreamDestroy(stream_); }

    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    operator cudaStream_t() const { return stream_; }

  private:
    cudaStream_t stream_ = nullptr;
};

// What one call attends with, on the device.
struct UploadedSlices {
    const AttentionRow* rows = nullptr;
    std::int64_t num_rows = 0;
    const std::int32_t* tables = nullptr;
    std::int64_t max_tokens = 0;
};

class CudaBackend final : public Backend {
  public:
    CudaBackend(const BackendOptions& options, const CudaDevice& device)
        : numerics_(options.numerics),
          is_deterministic_(options.is_deterministic),
          device_(device),
          uploads_(kUploadBytes, stream_) {}

    // What was launched last may still read buffers that go with this object.
    ~CudaBackend() override { (void)cudaStreamSynchronize(stream_); }

    CudaBackend(const CudaBackend&) = delete;
    CudaBackend& operator=(const CudaBackend&) = delete;

    std::string_view name() const override { return "cuda-sm90a"; }

    DType activation_dtype() const override { return DType::kF32; }

    std::unique_ptr<Buffer> allocate(std::size_t num_bytes) override {
        return std::make_unique<DeviceBuffer>(num_bytes);
    }

    void download(MatrixView matrix, std::span<float> out) override {
        CHECK(static_cast<std::int64_t>(out.size()) == matrix.rows * matrix.cols);
        if (out.empty()) return;
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
        cuda::embed(uploads_.put(tokens), view_of(table), out, stream_);
    }

    void gather_rows(MatrixView x, std::span<const std::int64_t> rows, MatrixView out) override {
        CHECK(static_cast<std::int64_t>(rows.size()) == out.rows);
        for (const std::int64_t row : rows) CHECK(row >= 0 && row < x.rows);
        cuda::gather_rows(x, uploads_.put(rows), out, stream_);
    }

    void rms_norm(MatrixView x,
                  const PreparedWeight& weight,
                  float epsilon,
                  MatrixView out) override {
        CHECK(weight.rows() == 1 && weight.cols() == x.cols);
        cuda::rms_norm(x, own<const DeviceWeight>(weight).vector(), epsilon, out, stream_);
    }

    void linear(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        const WeightView& view = view_of(weight);
        if (is_coded(view)) return coded_linear(coded(x), view, out, is_deterministic_, stream_);
        if (view.dtype == DType::kBf16) return stream_linear(split_rows(x), view, out, stream_);
        linear_small(x, view, out, stream_);
    }

    void linear_split_k(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        linear(x, weight, out);
    }

    void silu_mul(MatrixView gate, MatrixView up, MatrixView out) override {
        cuda::silu_mul(gate, up, out, stream_);
    }

    void add(MatrixView x, MatrixView accumulator) override { cuda::add(x, accumulator, stream_); }

    void rope(MatrixView x, const RopeColumns& columns, const RopeRows& rows) override {
        CHECK(static_cast<std::int64_t>(rows.cosines.size()) == x.rows * rows.num_pairs);
        RopeView view;
        view.num_heads = columns.num_heads;
        view.head_stride = columns.head_stride;
        view.offset = columns.offset;
        view.is_interleaved = columns.pairs == RopePairs::kInterleaved;
        view.num_pairs = rows.num_pairs;
        view.cosines = uploads_.put(std::span<const float>(rows.cosines));
        view.sines = uploads_.put(std::span<const float>(rows.sines));
        cuda::rope(x, view, stream_);
    }

    void write_kv(MatrixView rows,
                  std::span<const AttentionSlice> slices,
                  std::int64_t layer,
                  KvCache& cache) override {
        const UploadedSlices uploaded = upload(slices, rows.rows);
        cuda::write_kv(rows, uploaded.rows, uploaded.num_rows,
                       cache_view(cache, layer, uploaded.tables), stream_);
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
        const auto num_slots = static_cast<std::size_t>(logits.rows * shape.num_chosen);
        routing.experts.resize(num_slots);
        routing.weights.resize(num_slots);
        const RoutingView view = routing_view(logits.rows, shape.num_chosen, shape.num_experts);
        cuda::route(logits, own<const DeviceWeight>(bias).vector(), shape, view, stream_);
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
        const ExpertView shape = view_of(experts.front());
        const RoutingView view = upload(routing, static_cast<std::int64_t>(experts.size()));
        const ExpertView* const table = table_of(experts);
        const std::int64_t intermediate = shape.gate.rows;
        if (is_coded(shape.gate)) {
            const std::int64_t positions = view.max_positions();
            const CodedRows gathered = codes(kGatheredCodes, kGatheredScales, positions, x.cols);
            gather_codes(coded(x), view, gathered, stream_);
            const MatrixView middle = scratch(kExpertHidden, positions, intermediate);
            const bool has_many =
                !is_deterministic_ && view.num_slots() / view.num_experts >= kGemmRowsPerExpert;
            const auto gate_up = has_many ? gemm_gate_up : stream_gate_up;
            const auto down = has_many ? gemm_down : stream_down;
            gate_up(gathered, view, table, shape, middle, stream_);
            const CodedRows middle_codes = codes(kCodes, kScales, positions, intermediate);
            quantise_positions(middle, view, middle_codes, stream_);
            return down(middle_codes, view, table, shape, out, stream_);
        }
        const MatrixView hidden = scratch(kExpertHidden, out.rows, intermediate);
        experts_gate_up(x, view, table, shape, hidden, stream_);
        experts_down(hidden, view, table, shape, out, stream_);
    }

    void combine_experts(MatrixView expert_out,
                         const Routing& routing,
                         MatrixView shared,
                         MatrixView accumulator) override {
        RoutingView view;
        view.rows = routing.rows;
        view.num_chosen = routing.num_chosen;
        view.weights = const_cast<float*>(uploads_.put(std::span<const float>(routing.weights)));
        cuda::combine_experts(expert_out, view, shared, accumulator, stream_);
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
        const SampleLists lists{uploads_.put(std::span<const SeenToken>(input.seen)),
                                uploads_.put(std::span<const TokenBias>(input.bias)),
                                uploads_.put(std::span<const std::uint32_t>(input.allowed))};
        auto* const results = static_cast<SampleResult*>(
            buffer(kSampleResults).at_least(params.size() * sizeof(SampleResult)));
        cuda::sample(logits, num_tokens, uploads_.put(std::span<const SampleRow>(input.rows)),
                     lists,
                     buffer(kSampleWork).at_least(sample_workspace_bytes(logits.rows, num_tokens)),
                     results, stream_);
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
    enum Use : std::size_t {
        kCodes,
        kScales,
        kGatheredCodes,
        kGatheredScales,
        kHighParts,
        kLowParts,
        kExpertHidden,
        kLatentQueries,
        kAttended,
        kPartials,
        kRouting,
        kSlots,
        kSampleWork,
        kSampleResults,
        kNumUses,
    };

    static const WeightView& view_of(const PreparedWeight& weight) {
        return own<const DeviceWeight>(weight).view();
    }

    static ExpertView view_of(const MlpWeights& weights) {
        return {view_of(*weights.gate), view_of(*weights.up), view_of(*weights.down)};
    }

    bool is_coded(const WeightView& weight) const {
        return numerics_ == Numerics::kW8A8Block && weight.dtype == DType::kF8E4M3;
    }

    GrowingBuffer& buffer(Use use) { return buffers_[use]; }

    MatrixView scratch(Use use, std::int64_t rows, std::int64_t cols) {
        void* const data =
            buffer(use).at_least(static_cast<std::size_t>(rows * cols) * sizeof(float));
        return {data, DType::kF32, rows, cols, cols};
    }

    void wait() {
        CUDA_CHECK(cudaStreamSynchronize(stream_));
        uploads_.reset();
    }

    template <class T>
    void copy_down(const T* from, std::vector<T>& to) {
        CUDA_CHECK(cudaMemcpyAsync(to.data(), from, to.size() * sizeof(T), cudaMemcpyDeviceToHost,
                                   stream_));
    }

    // Room for codes of rows, until the uses are taken again.
    CodedRows codes(Use codes_use, Use scales_use, std::int64_t rows, std::int64_t cols) {
        constexpr std::int64_t kBlock = 128;
        CodedRows coded;
        coded.rows = rows;
        coded.cols = cols;
        coded.stride = (cols + kBlock - 1) / kBlock * kBlock;
        coded.scale_stride = (rows + kCodedTileRows - 1) / kCodedTileRows * kCodedTileRows;
        coded.codes = static_cast<std::uint8_t*>(
            buffer(codes_use).at_least(packed_bytes(rows, coded.stride, kCodedTileRows)));
        coded.scales = static_cast<float*>(
            buffer(scales_use)
                .at_least(static_cast<std::size_t>(coded.scale_stride * coded.stride / kBlock) *
                          sizeof(float)));
        return coded;
    }

    // x quantised, until the next call.
    CodedRows coded(MatrixView x) {
        const CodedRows rows = codes(kCodes, kScales, x.rows, x.cols);
        quantise(x, rows, stream_);
        return rows;
    }

    // x in two BF16 parts, until the next call.
    SplitRows split_rows(MatrixView x) {
        constexpr std::int64_t kBlock = 128;
        SplitRows rows;
        rows.rows = x.rows;
        rows.cols = x.cols;
        rows.stride = (x.cols + kBlock - 1) / kBlock * kBlock;
        const std::size_t bytes = packed_bytes(x.rows, rows.stride * 2, kCodedTileRows);
        rows.high = static_cast<std::uint16_t*>(buffer(kHighParts).at_least(bytes));
        rows.low = static_cast<std::uint16_t*>(buffer(kLowParts).at_least(bytes));
        split(x, rows, stream_);
        return rows;
    }

    UploadedSlices upload(std::span<const AttentionSlice> slices, std::int64_t num_rows) {
        check_slices(slices, num_rows);
        std::vector<AttentionRow> rows;
        std::vector<std::int32_t> tables;
        UploadedSlices uploaded;
        for (const AttentionSlice& slice : slices) {
            const auto table = static_cast<std::int32_t>(tables.size());
            tables.insert(tables.end(), slice.block_table.begin(), slice.block_table.end());
            for (std::int64_t r = 0; r < slice.num_rows; ++r) {
                rows.push_back({static_cast<std::int32_t>(slice.first_row + r),
                                static_cast<std::int32_t>(slice.first_position + r), table});
            }
            uploaded.max_tokens =
                std::max(uploaded.max_tokens, slice.first_position + slice.num_rows);
        }
        uploaded.rows = uploads_.put(std::span<const AttentionRow>(rows));
        uploaded.num_rows = static_cast<std::int64_t>(rows.size());
        uploaded.tables = uploads_.put(std::span<const std::int32_t>(tables));
        return uploaded;
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
        void* const workspace = buffer(kPartials).at_least(
            attention_workspace_bytes(layout, uploaded.num_rows, call.plan));
        cuda::attend(call, workspace, out, stream_);
    }

    void attend_latent(MatrixView queries,
                       std::span<const AttentionSlice> slices,
                       const PreparedWeight& kv_up,
                       const MlaShape& shape,
                       std::int64_t layer,
                       const KvCache& cache,
                       MatrixView out) {
        const KvUpView& view = own<const DeviceKvUp>(kv_up).view();
        const MatrixView latent =
            scratch(kLatentQueries, queries.rows, shape.num_heads * shape.cache_dim());
        absorb_queries(queries, view, shape, latent, stream_);
        const MatrixView attended =
            scratch(kAttended, queries.rows, shape.num_heads * shape.latent_dim);
        attend(latent, slices, layout_of(shape), layer, cache, attended);
        project_values(attended, view, shape, out, stream_);
    }

    // Room for the routing of a call, until the next.
    RoutingView routing_view(std::int64_t rows, std::int64_t num_chosen, std::int64_t num_experts) {
        const std::int64_t num_slots = rows * num_chosen;
        auto* const words = static_cast<std::int32_t*>(buffer(kRouting).at_least(
            static_cast<std::size_t>(3 * num_slots + 3 * num_experts + 1) * sizeof(std::int32_t)));
        RoutingView view;
        view.rows = rows;
        view.num_chosen = num_chosen;
        view.num_experts = num_experts;
        view.experts = words;
        view.weights = reinterpret_cast<float*>(words + num_slots);
        view.order = words + 2 * num_slots;
        view.offsets = words + 3 * num_slots;
        view.active = view.offsets + num_experts + 1;
        view.positions = view.active + num_experts;
        view.slots = static_cast<std::int32_t*>(buffer(kSlots).at_least(
            static_cast<std::size_t>(view.max_positions()) * sizeof(std::int32_t)));
        return view;
    }

    std::int32_t* upload_words(const std::vector<std::int32_t>& words) {
        return const_cast<std::int32_t*>(uploads_.put(std::span<const std::int32_t>(words)));
    }

    RoutingView upload(const Routing& routing, std::int64_t num_experts) {
        const SortedSlots sorted(routing, num_experts);
        RoutingView view;
        view.rows = routing.rows;
        view.num_chosen = routing.num_chosen;
        view.num_experts = num_experts;
        view.active = upload_words(sorted.active);
        view.order = upload_words(sorted.order);
        view.offsets = upload_words(sorted.offsets);
        view.positions = upload_words(sorted.positions);
        view.slots = upload_words(sorted.slots);
        return view;
    }

    // The experts' weights as the kernels read them: one table a layer, made at its first use.
    const ExpertView* table_of(std::span<const MlpWeights> experts) {
        auto& table = tables_[experts.front().gate];
        if (table == nullptr) {
            std::vector<ExpertView> views;
            for (const MlpWeights& weights : experts) views.push_back(view_of(weights));
            table = std::make_unique<DeviceBuffer>(views.size() * sizeof(ExpertView));
            CUDA_CHECK(cudaMemcpy(table->data(), views.data(), views.size() * sizeof(ExpertView),
                                  cudaMemcpyHostToDevice));
        }
        return static_cast<const ExpertView*>(table->data());
    }

    const Numerics numerics_;
    const bool is_deterministic_;
    const CudaDevice device_;
    Stream stream_;
    UploadRing uploads_;
    GrowingBuffer buffers_[kNumUses];
    std::unordered_map<const PreparedWeight*, std::unique_ptr<DeviceBuffer>> tables_;
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
    return CudaDevice{properties.name, properties.multiProcessorCount,
                      static_cast<std::int64_t>(total), static_cast<std::int64_t>(free)};
}

Result<std::unique_ptr<Backend>> make_cuda_backend(const BackendOptions& options, int device) {
    const auto found = find_cuda_device(device);
    if (!found) return found.error();
    return std::unique_ptr<Backend>(std::make_unique<cuda::CudaBackend>(options, *found));
}

}  // namespace turnpike::kernels
