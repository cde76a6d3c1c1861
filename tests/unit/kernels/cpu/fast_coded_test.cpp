// w8a8_block numerics of the fast CPU backends against the reference: linears, experts and the
// naive form of attention over FP8 codes, and each row's bits against its batch and the threads.
#include <algorithm>
#include <span>

#include "tests/unit/kernels/cpu/fast_fixture.h"

namespace turnpike::kernels {
namespace {

// FP8 codes are exact in BF16, so every instruction set is held to f32's tolerance where rows are
// quantised from the same bits. Where they are not, a value at the border of two codes may turn.
constexpr double kTurnedCodes = 4e-3;
// Latents that the cache holds in BF16 turn codes, each by a step of a sixteenth and more.
constexpr double kBf16Latents = 4e-2;
// What quantising the activations costs: a backend that does not would differ by this much.
constexpr double kQuantised = 5e-3;

class FastCoded : public FastBackendTest {
  protected:
    void SetUp() override {
        wide_ = *make_cpu_reference_backend({});
        reference_ = *make_cpu_reference_backend({Numerics::kW8A8Block, 2});
        fast_ = make(1, Numerics::kW8A8Block);
        two_ = make(2, Numerics::kW8A8Block);
    }

    std::unique_ptr<Backend> wide_;  // the reference in w8a16
    std::unique_ptr<Backend> two_;
};

// Values of several magnitudes, one block of zeros, and borders of codes.
Matrix spread_rows(std::int64_t rows, std::int64_t cols) {
    Matrix x(rows, cols, 3);
    for (std::int64_t m = 0; m < rows; ++m) {
        for (std::int64_t k = 0; k < cols; ++k) {
            if (k / 128 % 3 == 1) x.at(m, k) *= 1e-3F;
            if (m == 1 && k < 128) x.at(m, k) = 0.0F;
            if (k % 11 == 0) x.at(m, k) = static_cast<float>(k % 17) / 16.0F;
        }
    }
    return x;
}

struct Shape {
    std::int64_t m, n, k;
};

// Tails of groups, blocks and units; a weight of one row; rows on both sides of every switch of
// kernels.
constexpr Shape kShapes[] = {{1, 64, 128},  {1, 2, 1},      {2, 65, 127},   {3, 300, 130},
                             {5, 320, 257}, {25, 576, 300}, {130, 70, 384}, {7, 1, 200}};

using LinearOp = void (Backend::*)(MatrixView, const PreparedWeight&, MatrixView);

TEST_P(FastCoded, LinearsMatchTheReference) {
    double largest = 0.0;
    for (const Shape& shape : kShapes) {
        const StoredWeight weight(DType::kF8E4M3, shape.n, shape.k, 11);
        const auto expected_weight = *reference_->prepare(weight.source);
        const auto fast_weight = *fast_->prepare(weight.source);
        EXPECT_EQ(fast_weight->rows(), shape.n);
        EXPECT_EQ(fast_weight->cols(), shape.k);
        Matrix x = spread_rows(shape.m, shape.k);
        Matrix expected(shape.m, shape.n);
        Matrix got(shape.m, shape.n);
        for (const LinearOp op : {&Backend::linear, &Backend::linear_split_k}) {
            (*reference_.*op)(x.view(), *expected_weight, expected.view());
            (*fast_.*op)(x.view(), *fast_weight, got.view());
            const double error = relative_error(got.values, expected.values);
            largest = std::max(largest, error);
            EXPECT_LT(error, kF32Tolerance) << shape.m << " " << shape.n << " " << shape.k;
        }
    }
    RecordProperty("relative_error", std::to_string(largest));
    std::printf("%s: linears within %.2g\n", std::string(to_string(GetParam())).c_str(), largest);
}

TEST_P(FastCoded, LinearsQuantiseTheirRows) {
    const StoredWeight weight(DType::kF8E4M3, 128, 512, 11);
    const auto wide_weight = *wide_->prepare(weight.source);
    const auto fast_weight = *fast_->prepare(weight.source);
    Matrix x(4, 512, 5);
    Matrix wide(4, 128);
    Matrix got(4, 128);
    wide_->linear(x.view(), *wide_weight, wide.view());
    fast_->linear(x.view(), *fast_weight, got.view());
    EXPECT_GT(relative_error(got.values, wide.values), kQuantised);
}

TEST_P(FastCoded, WeightsThatAreNotFp8TakeRowsAsTheyAre) {
    const auto plain = make(1);
    for (const DType dtype : {DType::kBf16, DType::kF32}) {
        const StoredWeight weight(dtype, 300, 200, 2);
        const auto plain_weight = *plain->prepare(weight.source);
        const auto fast_weight = *fast_->prepare(weight.source);
        Matrix x(3, 200, 4);
        Matrix expected(3, 300);
        Matrix got(3, 300);
        plain->linear(x.view(), *plain_weight, expected.view());
        fast_->linear(x.view(), *fast_weight, got.view());
        EXPECT_EQ(got.values, expected.values) << to_string(dtype);
    }
}

TEST_P(FastCoded, ARowsBitsDoNotDependOnBatchOrThreads) {
    constexpr std::int64_t kK = 700;
    constexpr std::int64_t kN = 330;
    const StoredWeight weight(DType::kF8E4M3, kN, kK, 5);
    const auto one_weight = *fast_->prepare(weight.source);
    const auto two_weight = *two_->prepare(weight.source);
    for (const std::int64_t rows : {2, 5, 24, 25, 140}) {
        Matrix x(rows, kK, 6);
        for (const LinearOp op : {&Backend::linear, &Backend::linear_split_k}) {
            Matrix together(rows, kN);
            (*two_.*op)(x.view(), *two_weight, together.view());
            for (std::int64_t m = 0; m < rows; m += 3) {
                Matrix alone(1, kN);
                (*fast_.*op)(x.view().row_range(m, 1), *one_weight, alone.view());
                for (std::int64_t n = 0; n < kN; ++n)
                    ASSERT_EQ(alone.at(0, n), together.at(m, n)) << rows;
            }
        }
    }
}

constexpr std::int64_t kHidden = 200;
constexpr std::int64_t kWidth = 150;
constexpr std::size_t kNumExperts = 3;

struct Experts {
    explicit Experts(Backend& backend) {
        for (std::size_t e = 0; e < kNumExperts; ++e) {
            const StoredWeight gate(DType::kF8E4M3, kWidth, kHidden, 20 + e);
            const StoredWeight up(DType::kF8E4M3, kWidth, kHidden, 40 + e);
            const StoredWeight down(DType::kF8E4M3, kHidden, kWidth, 60 + e);
            MlpWeights view;
            view.gate = keep(*backend.prepare(gate.source));
            view.up = keep(*backend.prepare(up.source));
            view.down = keep(*backend.prepare(down.source));
            views.push_back(view);
        }
    }

    const PreparedWeight* keep(std::unique_ptr<PreparedWeight> weight) {
        weights.push_back(std::move(weight));
        return weights.back().get();
    }

    std::vector<std::unique_ptr<PreparedWeight>> weights;
    std::vector<MlpWeights> views;
};

// Expert 2 takes every row, experts 0 and 1 take turns.
Routing routing_of(std::int64_t first, std::int64_t rows) {
    Routing routing{rows, 2, {}, {}};
    for (std::int64_t r = first; r < first + rows; ++r) {
        routing.experts.push_back(static_cast<std::int32_t>(r % 2));
        routing.experts.push_back(2);
        routing.weights.insert(routing.weights.end(), {0.25F, 0.75F});
    }
    return routing;
}

TEST_P(FastCoded, ExpertsMatchTheReferenceAndKeepTheirBits) {
    constexpr std::int64_t kRows = 150;
    const Experts expected_experts(*reference_);
    const Experts fast_experts(*fast_);
    const Experts two_experts(*two_);
    Matrix x(kRows, kHidden, 2);
    Matrix expected(2 * kRows, kHidden);
    Matrix got(2 * kRows, kHidden);
    reference_->run_experts(x.view(), routing_of(0, kRows), expected_experts.views,
                            expected.view());
    two_->run_experts(x.view(), routing_of(0, kRows), two_experts.views, got.view());
    const double error = relative_error(got.values, expected.values);
    std::printf("%s: experts within %.2g\n", std::string(to_string(GetParam())).c_str(), error);
    EXPECT_LT(error, kTurnedCodes);
    for (const std::int64_t m : {0, 1, 77, 149}) {
        Matrix alone(2, kHidden);
        fast_->run_experts(x.view().row_range(m, 1), routing_of(m, 1), fast_experts.views,
                           alone.view());
        for (std::int64_t c = 0; c < kHidden; ++c) {
            ASSERT_EQ(alone.at(0, c), got.at(2 * m, c)) << m;
            ASSERT_EQ(alone.at(1, c), got.at(2 * m + 1, c)) << m;
        }
    }
}

// Heads that are scale blocks, heads that part them, and a latent that ends within a block.
struct MlaCase {
    std::int64_t heads, nope, rope, v, latent;
};

constexpr MlaCase kMlaCases[] = {{2, 128, 64, 128, 256}, {5, 40, 16, 72, 200}, {3, 10, 6, 7, 19}};
constexpr std::int64_t kPositions = 150;

// The naive form is the one that multiplies codes.
class Attention {
  public:
    Attention(Backend& backend, const MlaCase& mla)
        : backend_(backend), queries_(kPositions, mla.heads * (mla.nope + mla.rope), 2) {
        shape_.num_heads = mla.heads;
        shape_.nope_dim = mla.nope;
        shape_.rope_dim = mla.rope;
        shape_.v_dim = mla.v;
        shape_.latent_dim = mla.latent;
        shape_.softmax_scale = 1.5F / std::sqrt(static_cast<float>(mla.nope + mla.rope));
        const StoredWeight stored(DType::kF8E4M3, mla.heads * (mla.nope + mla.v), mla.latent, 3);
        kv_up_ = *backend.prepare_kv_up(stored.source, shape_);
        cache_ = backend.make_kv_cache({1, 3, shape_.cache_dim()});
        Matrix rows(kPositions, shape_.cache_dim(), 1);
        const AttentionSlice all{0, kPositions, 0, table_};
        backend.write_kv(rows.view(), std::span(&all, 1), 0, *cache_);
    }

    Matrix attend(bool is_naive, std::int64_t first, std::int64_t count) {
        Matrix out(count, shape_.num_heads * shape_.v_dim);
        const AttentionSlice slice{0, count, first, table_};
        const MatrixView queries = queries_.view().row_range(first, count);
        const auto op = is_naive ? &Backend::attend_naive : &Backend::attend_absorbed;
        (backend_.*op)(queries, std::span(&slice, 1), *kv_up_, shape_, 0, *cache_, out.view());
        return out;
    }

  private:
    Backend& backend_;
    MlaShape shape_;
    std::vector<std::int32_t> table_{2, 0, 1};
    Matrix queries_;
    std::unique_ptr<PreparedWeight> kv_up_;
    std::unique_ptr<KvCache> cache_;
};

TEST_P(FastCoded, AttentionMatchesTheReference) {
    for (const MlaCase& mla : kMlaCases) {
        Attention expected(*reference_, mla);
        Attention wide(*wide_, mla);
        Attention got(*fast_, mla);
        for (const bool is_naive : {true, false}) {
            const Matrix found = got.attend(is_naive, 100, 40);
            const double error =
                relative_error(found.values, expected.attend(is_naive, 100, 40).values);
            std::printf("%s: %s attention within %.2g\n",
                        std::string(to_string(GetParam())).c_str(), is_naive ? "naive" : "absorbed",
                        error);
            const bool is_bf16 = GetParam() == CpuIsa::kAvx512Bf16;
            EXPECT_LT(error, is_bf16 ? kBf16Latents : 10 * kF32Tolerance)
                << mla.heads << " " << is_naive;
            if (!is_naive || is_bf16) continue;
            EXPECT_GT(relative_error(found.values, wide.attend(true, 100, 40).values), kQuantised);
        }
    }
}

TEST_P(FastCoded, AttentionBitsDoNotDependOnChunksOrThreads) {
    for (const MlaCase& mla : kMlaCases) {
        Attention one(*fast_, mla);
        Attention two(*two_, mla);
        const Matrix whole = one.attend(true, 60, 70);
        std::int64_t first = 0;
        for (const std::int64_t count : {1, 17, 33, 19}) {
            const Matrix part = two.attend(true, 60 + first, count);
            for (std::int64_t r = 0; r < count; ++r) {
                for (std::int64_t c = 0; c < part.cols; ++c)
                    ASSERT_EQ(part.at(r, c), whole.at(first + r, c)) << first + r;
            }
            first += count;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Cpu, FastCoded, every_fast_isa(), isa_name);

}  // namespace
}  // namespace turnpike::kernels
