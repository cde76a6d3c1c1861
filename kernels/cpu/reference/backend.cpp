// ReferenceBackend: ties the ops of this folder to the Backend interface. Everything runs at once,
// on the caller's thread and the pool's.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/api/cpu_reference.h"
#include "kernels/api/own.h"
#include "kernels/cpu/reference/attention.h"
#include "kernels/cpu/reference/grouped_attention.h"
#include "kernels/cpu/reference/linear.h"
#include "kernels/cpu/reference/moe.h"
#include "kernels/cpu/reference/sampler.h"
#include "kernels/cpu/reference/vector_math.h"

namespace turnpike::kernels {
namespace reference {
namespace {

class HostBuffer final : public Buffer {
  public:
    explicit HostBuffer(std::size_t num_bytes) : lines_((num_bytes + 63) / 64), size_(num_bytes) {}

    void* data() override { return lines_.data(); }

    std::size_t num_bytes() const override { return size_; }

  private:
    struct alignas(64) Line {
        std::byte bytes[64] = {};
    };

    std::vector<Line> lines_;
    std::size_t size_;
};

class ReferenceBackend final : public Backend {
  public:
    explicit ReferenceBackend(const BackendOptions& options)
        : numerics_(options.numerics), threads_(options.num_threads) {}

    std::string_view name() const override { return "cpu-reference"; }

    DType activation_dtype() const override { return DType::kF32; }

    std::unique_ptr<Buffer> allocate(std::size_t num_bytes) override {
        return std::make_unique<HostBuffer>(num_bytes);
    }

    void download(MatrixView matrix, std::span<float> out) override {
        CHECK(static_cast<std::int64_t>(out.size()) == matrix.rows * matrix.cols);
        for (std::int64_t m = 0; m < matrix.rows; ++m) {
            std::copy_n(row_of(matrix, m), matrix.cols, out.data() + m * matrix.cols);
        }
    }

    Result<std::unique_ptr<PreparedWeight>> prepare(const WeightSource& source) override {
        auto weight = is_coded(source) ? keep_block_scales(source) : dequantise(source);
        if (!weight) return weight.error();
        return std::unique_ptr<PreparedWeight>(std::make_unique<DenseWeight>(std::move(*weight)));
    }

    Result<std::unique_ptr<PreparedWeight>> prepare_kv_up(const WeightSource& source,
                                                          const MlaShape& shape) override {
        CHECK(source.rows == shape.num_heads * (shape.nope_dim + shape.v_dim));
        CHECK(source.cols == shape.latent_dim);
        auto rows = dequantise(source);
        if (!rows) return rows.error();
        std::optional<DenseWeight> coded;
        if (is_coded(source)) {
            auto kept = keep_block_scales(source);
            if (!kept) return kept.error();
            coded = std::move(*kept);
        }
        return std::unique_ptr<PreparedWeight>(
            std::make_unique<KvUpWeight>(std::move(*rows), std::move(coded), shape));
    }

    std::unique_ptr<KvCache> make_kv_cache(const KvCacheShape& shape) override {
        return std::make_unique<PagedCache>(shape);
    }

    void embed(std::span<const std::int32_t> tokens,
               const PreparedWeight& table,
               MatrixView out) override {
        CHECK(static_cast<std::int64_t>(tokens.size()) == out.rows && table.cols() == out.cols);
        for (std::int64_t m = 0; m < out.rows; ++m) {
            const std::int32_t token = tokens[static_cast<std::size_t>(m)];
            CHECK(token >= 0 && token < table.rows());
            std::copy_n(dense(table).row(token), out.cols, row_of(out, m));
        }
    }

    void gather_rows(MatrixView x, std::span<const std::int64_t> rows, MatrixView out) override {
        CHECK(static_cast<std::int64_t>(rows.size()) == out.rows && x.cols == out.cols);
        for (std::int64_t m = 0; m < out.rows; ++m) {
            const std::int64_t from = rows[static_cast<std::size_t>(m)];
            CHECK(from >= 0 && from < x.rows);
            std::copy_n(row_of(x, from), x.cols, row_of(out, m));
        }
    }

    void rms_norm(MatrixView x,
                  const PreparedWeight& weight,
                  float epsilon,
                  MatrixView out) override {
        CHECK(weight.rows() == 1 && weight.cols() == x.cols);
        reference::rms_norm(x, dense(weight).row(0), epsilon, out);
    }

    void linear(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        reference::linear(threads_, x, dense(weight), out);
    }

    void linear_split_k(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        reference::linear_split_k(threads_, x, dense(weight), out);
    }

    void silu_mul(MatrixView gate, MatrixView up, MatrixView out) override {
        reference::silu_mul(gate, up, out);
    }

    void add(MatrixView x, MatrixView accumulator) override {
        CHECK(x.rows == accumulator.rows && x.cols == accumulator.cols);
        for (std::int64_t m = 0; m < x.rows; ++m) {
            add_scaled(1.0F, row_of(x, m), x.cols, row_of(accumulator, m));
        }
    }

    void rope(MatrixView x, const RopeColumns& columns, const RopeRows& rows) override {
        CHECK(static_cast<std::int64_t>(rows.cosines.size()) == x.rows * rows.num_pairs);
        CHECK((columns.num_heads - 1) * columns.head_stride + columns.offset + 2 * rows.num_pairs <=
              x.cols);
        for (std::int64_t m = 0; m < x.rows; ++m) {
            const float* cosines = rows.cosines.data() + m * rows.num_pairs;
            const float* sines = rows.sines.data() + m * rows.num_pairs;
            for (std::int64_t head = 0; head < columns.num_heads; ++head) {
                float* pairs = row_of(x, m) + head * columns.head_stride + columns.offset;
                if (columns.pairs == RopePairs::kHalves) {
                    rotate_halves(pairs, rows.num_pairs, cosines, sines);
                } else {
                    rotate_pairs(pairs, rows.num_pairs, cosines, sines);
                }
            }
        }
    }

    void write_kv(MatrixView rows,
                  std::span<const AttentionSlice> slices,
                  std::int64_t layer,
                  KvCache& cache) override {
        reference::write_kv(rows, slices, layer, own<PagedCache>(cache));
    }

    void attend_naive(MatrixView queries,
                      std::span<const AttentionSlice> slices,
                      const PreparedWeight& kv_up,
                      const MlaShape& shape,
                      std::int64_t layer,
                      const KvCache& cache,
                      MatrixView out) override {
        const AttentionCall call{queries, slices, own<const KvUpWeight>(kv_up),
                                 shape,   layer,  own<const PagedCache>(cache),
                                 out};
        reference::attend_naive(threads_, call);
    }

    void attend_absorbed(MatrixView queries,
                         std::span<const AttentionSlice> slices,
                         const PreparedWeight& kv_up,
                         const MlaShape& shape,
                         std::int64_t layer,
                         const KvCache& cache,
                         MatrixView out) override {
        const AttentionCall call{queries, slices, own<const KvUpWeight>(kv_up),
                                 shape,   layer,  own<const PagedCache>(cache),
                                 out};
        reference::attend_absorbed(threads_, call);
    }

    void attend_grouped(MatrixView queries,
                        std::span<const AttentionSlice> slices,
                        const GqaShape& shape,
                        std::int64_t layer,
                        const KvCache& cache,
                        MatrixView out) override {
        reference::attend_grouped(
            threads_, {queries, slices, shape, layer, own<const PagedCache>(cache), out});
    }

    Routing route(MatrixView logits,
                  const PreparedWeight& bias,
                  const RouterShape& shape) override {
        CHECK(bias.rows() == 1 && bias.cols() == shape.num_experts);
        return reference::route(logits, dense(bias).row(0), shape);
    }

    void run_experts(MatrixView x,
                     const Routing& routing,
                     std::span<const MlpWeights> experts,
                     MatrixView out) override {
        reference::run_experts(threads_, x, routing, experts, out);
    }

    void combine_experts(MatrixView expert_out,
                         const Routing& routing,
                         MatrixView shared,
                         MatrixView accumulator) override {
        reference::combine_experts(expert_out, routing, shared, accumulator);
    }

    void sample(MatrixView logits,
                std::span<const SampleParams> params,
                std::int64_t num_tokens,
                std::span<SampledRow> out) override {
        CHECK(static_cast<std::int64_t>(params.size()) == logits.rows &&
              params.size() == out.size());
        CHECK(num_tokens > 0 && num_tokens <= logits.cols);
        for (std::size_t i = 0; i < params.size(); ++i) {
            const float* row = row_of(logits, static_cast<std::int64_t>(i));
            out[i] = sample_row({row, static_cast<std::size_t>(num_tokens)}, params[i]);
        }
    }

  private:
    // Whether the weight's linears quantise their activations.
    bool is_coded(const WeightSource& source) const {
        return numerics_ == Numerics::kW8A8Block && source.dtype == DType::kF8E4M3;
    }

    const Numerics numerics_;
    ThreadPool threads_;
};

}  // namespace
}  // namespace reference

Result<std::unique_ptr<Backend>> make_cpu_reference_backend(const BackendOptions& options) {
    if (options.num_threads < 1) {
        return invalid_argument("the CPU backend needs at least one thread, found " +
                                    std::to_string(options.num_threads),
                                "num_threads");
    }
    return std::unique_ptr<Backend>(std::make_unique<reference::ReferenceBackend>(options));
}

}  // namespace turnpike::kernels
