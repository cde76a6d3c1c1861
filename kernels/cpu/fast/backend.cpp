// FastBackend: the ops over packed weights with the loops of one instruction set. Everything runs
// at once, on the caller's thread and the pool's.
#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/api/cpu_reference.h"
#include "kernels/api/own.h"
#include "kernels/cpu/fast/attention.h"
#include "kernels/cpu/fast/linear.h"
#include "kernels/cpu/fast/moe.h"
#include "kernels/cpu/fast/sampler.h"
#include "kernels/cpu/reference/linear.h"
#include "kernels/cpu/reference/moe.h"

namespace turnpike::kernels {
namespace fast {
namespace {

class FastBackend final : public Backend {
  public:
    FastBackend(const KernelTable& table, Numerics numerics, int num_threads)
        : table_(table), numerics_(numerics), threads_(num_threads), context_{table_, threads_} {
        attention_scratch_.of_thread.resize(static_cast<std::size_t>(num_threads));
    }

    std::string_view name() const override { return to_string(table_.isa); }

    DType activation_dtype() const override { return DType::kF32; }

    OpCounts counts() const override { return counts_; }

    std::unique_ptr<Buffer> allocate(std::size_t num_bytes) override {
        return std::make_unique<HostBuffer>(num_bytes);
    }

    void download(MatrixView matrix, std::span<float> out) override {
        CHECK(static_cast<std::int64_t>(out.size()) == matrix.rows * matrix.cols);
        for (std::int64_t m = 0; m < matrix.rows; ++m)
            std::copy_n(row_of(matrix, m), matrix.cols, out.data() + m * matrix.cols);
    }

    Result<std::unique_ptr<PreparedWeight>> prepare(const WeightSource& source) override {
        auto weight = pack_weight({table_, threads_, arena_, numerics_}, source);
        if (!weight) return weight.error();
        return std::unique_ptr<PreparedWeight>(std::move(*weight));
    }

    Result<std::unique_ptr<PreparedWeight>> prepare_kv_up(const WeightSource& source,
                                                          const MlaShape& shape) override {
        CHECK(source.rows == shape.num_heads * (shape.nope_dim + shape.v_dim));
        CHECK(source.cols == shape.latent_dim);
        auto weight = pack_kv_up({table_, threads_, arena_, numerics_}, source, shape);
        if (!weight) return weight.error();
        return std::unique_ptr<PreparedWeight>(std::move(*weight));
    }

    std::unique_ptr<KvCache> make_kv_cache(const KvCacheShape& shape) override {
        return std::make_unique<PagedCache>(table_, shape);
    }

    void embed(std::span<const std::int32_t> tokens,
               const PreparedWeight& table,
               MatrixView out) override {
        CHECK(static_cast<std::int64_t>(tokens.size()) == out.rows && table.cols() == out.cols);
        const PackedMatrix& matrix = packed(table).matrix();
        constexpr std::int64_t kWorkPerValue = 8;
        for_rows(out.rows, kWorkPerValue * out.cols, [&](std::int64_t m) {
            const std::int32_t token = tokens[static_cast<std::size_t>(m)];
            CHECK(token >= 0 && token < matrix.rows());
            matrix.read_row(token, row_of(out, m));
        });
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
        CHECK(x.rows == out.rows && x.cols == out.cols);
        const float* values = packed(weight).vector().data();
        for_rows(x.rows, x.cols, [&](std::int64_t m) {
            table_.rms_norm(row_of(x, m), values, epsilon, x.cols, row_of(out, m));
        });
    }

    void linear(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        count_linear(packed(weight), x.rows);
        fast::linear(context_, scratch_, x, packed(weight), false, out);
    }

    void linear_split_k(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        count_linear(packed(weight), x.rows);
        fast::linear(context_, scratch_, x, packed(weight), true, out);
    }

    void silu_mul(MatrixView gate, MatrixView up, MatrixView out) override {
        CHECK(gate.rows == out.rows && gate.cols == out.cols);
        CHECK(up.rows == out.rows && up.cols == out.cols);
        for_rows(out.rows, 4 * out.cols, [&](std::int64_t m) {
            table_.silu_mul(row_of(gate, m), row_of(up, m), out.cols, row_of(out, m));
        });
    }

    void add(MatrixView x, MatrixView accumulator) override {
        CHECK(x.rows == accumulator.rows && x.cols == accumulator.cols);
        for_rows(x.rows, x.cols, [&](std::int64_t m) {
            table_.merge(row_of(accumulator, m), 1.0F, row_of(x, m), 1.0F, x.cols);
        });
    }

    void rope(MatrixView x, const RopeColumns& columns, const RopeRows& rows) override {
        CHECK(static_cast<std::int64_t>(rows.cosines.size()) == x.rows * rows.num_pairs);
        CHECK((columns.num_heads - 1) * columns.head_stride + columns.offset + 2 * rows.num_pairs <=
              x.cols);
        for_rows(x.rows, 4 * columns.num_heads * rows.num_pairs, [&](std::int64_t m) {
            const float* cosines = rows.cosines.data() + m * rows.num_pairs;
            const float* sines = rows.sines.data() + m * rows.num_pairs;
            for (std::int64_t head = 0; head < columns.num_heads; ++head) {
                float* pairs = row_of(x, m) + head * columns.head_stride + columns.offset;
                if (columns.pairs == RopePairs::kHalves) {
                    reference::rotate_halves(pairs, rows.num_pairs, cosines, sines);
                } else {
                    reference::rotate_pairs(pairs, rows.num_pairs, cosines, sines);
                }
            }
        });
    }

    void write_kv(MatrixView rows,
                  std::span<const AttentionSlice> slices,
                  std::int64_t layer,
                  KvCache& cache) override {
        fast::write_kv(context_, rows, slices, layer, own<PagedCache>(cache));
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
        for (const AttentionSlice& slice : slices) count_naive(slice, shape);
        fast::attend_naive(context_, attention_scratch_, call);
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
        counts_.weight_bytes += static_cast<std::int64_t>(call.kv_up.absorbed_bytes());
        fast::attend_absorbed(context_, attention_scratch_, call);
    }

    void attend_grouped(MatrixView queries,
                        std::span<const AttentionSlice> slices,
                        const GqaShape& shape,
                        std::int64_t layer,
                        const KvCache& cache,
                        MatrixView out) override {
        fast::attend_grouped(context_, attention_scratch_,
                             {queries, slices, shape, layer, own<const PagedCache>(cache), out});
    }

    Routing route(MatrixView logits,
                  const PreparedWeight& bias,
                  const RouterShape& shape) override {
        CHECK(bias.rows() == 1 && bias.cols() == shape.num_experts);
        return reference::route(logits, packed(bias).vector().data(), shape);
    }

    void run_experts(MatrixView x,
                     const Routing& routing,
                     std::span<const MlpWeights> experts,
                     MatrixView out) override {
        count_experts(routing, experts);
        fast::run_experts(context_, moe_scratch_, x, routing, experts, out);
    }

    void combine_experts(MatrixView expert_out,
                         const Routing& routing,
                         MatrixView shared,
                         MatrixView accumulator) override {
        threads_.run(routing.rows, (routing.num_chosen + 1) * shared.cols,
                     [&](std::int64_t begin, std::int64_t end) {
                         reference::combine_rows(expert_out, routing, shared, accumulator, begin,
                                                 end);
                     });
    }

    void sample(MatrixView logits,
                std::span<const SampleParams> params,
                std::int64_t num_tokens,
                std::span<SampledRow> out) override {
        CHECK(static_cast<std::int64_t>(params.size()) == logits.rows &&
              params.size() == out.size());
        CHECK(num_tokens > 0 && num_tokens <= logits.cols);
        for_rows(logits.rows, 4 * num_tokens, [&](std::int64_t m) {
            const auto index = static_cast<std::size_t>(m);
            out[index] = sample_row(
                table_, {row_of(logits, m), static_cast<std::size_t>(num_tokens)}, params[index]);
        });
    }

  private:
    void count_linear(const PackedWeight& weight, std::int64_t rows) {
        if (!weight.is_vector())
            counts_.weight_bytes += static_cast<std::int64_t>(weight.matrix().num_bytes());
        counts_.flops += 2 * rows * weight.rows() * weight.cols();
    }

    void count_experts(const Routing& routing, std::span<const MlpWeights> experts) {
        std::vector<std::int64_t> rows(experts.size());
        for (const std::int32_t expert : routing.experts) ++rows[static_cast<std::size_t>(expert)];
        for (std::size_t e = 0; e < experts.size(); ++e) {
            if (rows[e] == 0) continue;
            for (const auto* weight : {experts[e].gate, experts[e].up, experts[e].down})
                count_linear(packed(*weight), rows[e]);
        }
    }

    void count_naive(const AttentionSlice& slice, const MlaShape& shape) {
        const std::int64_t tokens = slice.first_position + slice.num_rows;
        const std::int64_t pairs = slice.num_rows * (slice.first_position + tokens + 1) / 2;
        counts_.flops += 2 * shape.num_heads *
                         (pairs * (shape.query_dim() + shape.v_dim) +
                          tokens * (shape.nope_dim + shape.v_dim) * shape.latent_dim);
    }

    template <class Body>
    void for_rows(std::int64_t rows, std::int64_t work, const Body& body) {
        threads_.run(rows, work, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t m = begin; m < end; ++m) body(m);
        });
    }

    const KernelTable& table_;
    const Numerics numerics_;
    ThreadPool threads_;
    const Context context_;
    Arena arena_;
    OpCounts counts_;
    Scratch scratch_;
    MoeScratch moe_scratch_;
    AttentionScratch attention_scratch_;
};

}  // namespace
}  // namespace fast

Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options, CpuIsa isa) {
    BackendOptions allowed = options;
    allowed.num_threads = std::min(options.num_threads, num_allowed_cores());
    const auto chosen = choose_cpu_isa(to_string(isa));
    if (!chosen) return chosen.error();
    if (isa == CpuIsa::kScalar) return make_cpu_reference_backend(allowed);
    if (options.num_threads < 1) {
        return invalid_argument("the CPU backend needs at least one thread, found " +
                                    std::to_string(options.num_threads),
                                "num_threads");
    }
    return std::unique_ptr<Backend>(std::make_unique<fast::FastBackend>(
        fast::table_of(isa), allowed.numerics, allowed.num_threads));
}

}  // namespace turnpike::kernels
