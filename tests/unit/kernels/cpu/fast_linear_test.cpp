// Linears, experts and row ops of the fast CPU backends against the reference, and each row's bits
// against its batch and the number of threads.
#include "tests/unit/kernels/cpu/fast_fixture.h"

namespace turnpike::kernels {
namespace {

using FastLinear = FastBackendTest;

constexpr DType kDTypes[] = {DType::kF8E4M3, DType::kBf16, DType::kF32};

struct Shape {
    std::int64_t m, n, k;
};

// Tails of groups, blocks and units; rows on both sides of every switch of kernels.
constexpr Shape kShapes[] = {{1, 64, 128},  {1, 2, 1},      {2, 65, 127},   {3, 300, 130},
                             {5, 320, 257}, {25, 576, 300}, {130, 70, 384}, {7, 1, 200}};

TEST_P(FastLinear, MatchesTheReference) {
    for (const DType dtype : kDTypes) {
        for (const Shape& shape : kShapes) {
            const StoredWeight weight(dtype, shape.n, shape.k, 11);
            const auto expected_weight = *reference_->prepare(weight.source);
            const auto fast_weight = *fast_->prepare(weight.source);
            EXPECT_EQ(fast_weight->rows(), shape.n);
            EXPECT_EQ(fast_weight->cols(), shape.k);
            Matrix x(shape.m, shape.k, 3);
            Matrix expected(shape.m, shape.n);
            Matrix got(shape.m, shape.n);
            reference_->linear(x.view(), *expected_weight, expected.view());
            fast_->linear(x.view(), *fast_weight, got.view());
            const double tolerance = tolerance_of(GetParam());
            EXPECT_LT(relative_error(got.values, expected.values), tolerance)
                << to_string(dtype) << " " << shape.m << " " << shape.n << " " << shape.k;
            reference_->linear_split_k(x.view(), *expected_weight, expected.view());
            fast_->linear_split_k(x.view(), *fast_weight, got.view());
            EXPECT_LT(relative_error(got.values, expected.values), tolerance)
                << to_string(dtype) << " split " << shape.m << " " << shape.n << " " << shape.k;
        }
    }
}

TEST_P(FastLinear, EveryFiniteFp8CodeIsExact) {
    constexpr std::int64_t kCodes = 254;
    StoredWeight weight(DType::kF8E4M3, kCodes, 4, 1);
    std::int64_t row = 0;
    for (int code = 0; code < 256; ++code) {
        if ((code & 0x7F) == 0x7F) continue;
        std::fill_n(weight.bytes.begin() + row * 4, 4, static_cast<std::byte>(code));
        ++row;
    }
    std::fill(weight.scales.begin(), weight.scales.end(), 1.0F);
    const auto prepared = *fast_->prepare(weight.source);
    Matrix x(2, 4);
    x.at(0, 2) = 1.0F;  // one column alone, whatever its place in a unit
    x.at(1, 3) = -2.0F;
    Matrix out(2, kCodes);
    fast_->linear(x.view(), *prepared, out.view());
    for (row = 0; row < kCodes; ++row) {
        const auto code =
            static_cast<std::uint8_t>(weight.bytes[static_cast<std::size_t>(row * 4)]);
        EXPECT_EQ(out.at(0, row), fp8_to_float(code)) << static_cast<int>(code);
        EXPECT_EQ(out.at(1, row), -2.0F * fp8_to_float(code)) << static_cast<int>(code);
    }
}

TEST_P(FastLinear, ARowsBitsDoNotDependOnBatchOrThreads) {
    constexpr std::int64_t kK = 700;
    constexpr std::int64_t kN = 330;
    const auto two = make(2);
    for (const DType dtype : kDTypes) {
        const StoredWeight weight(dtype, kN, kK, 5);
        const auto one_weight = *fast_->prepare(weight.source);
        const auto two_weight = *two->prepare(weight.source);
        for (const std::int64_t rows : {2, 5, 24, 25, 140}) {
            Matrix x(rows, kK, 6);
            for (const bool is_split : {false, true}) {
                Matrix together(rows, kN);
                is_split ? two->linear_split_k(x.view(), *two_weight, together.view())
                         : two->linear(x.view(), *two_weight, together.view());
                for (std::int64_t m = 0; m < rows; m += 3) {
                    Matrix alone(1, kN);
                    const MatrixView row = x.view().row_range(m, 1);
                    is_split ? fast_->linear_split_k(row, *one_weight, alone.view())
                             : fast_->linear(row, *one_weight, alone.view());
                    for (std::int64_t n = 0; n < kN; ++n)
                        ASSERT_EQ(alone.at(0, n), together.at(m, n)) << rows << " " << is_split;
                }
            }
        }
    }
}

TEST_P(FastLinear, DamagedWeightsAreNamed) {
    StoredWeight codes(DType::kF8E4M3, 70, 130, 1);
    codes.bytes[65 * 130 + 129] = static_cast<std::byte>(0xFF);
    StoredWeight scales(DType::kF8E4M3, 70, 130, 1);
    scales.scales[1] = INFINITY;
    StoredWeight values(DType::kBf16, 70, 130, 1);
    values.bytes[2 * 131] = static_cast<std::byte>(0x80);
    values.bytes[2 * 131 + 1] = static_cast<std::byte>(0x7F);
    for (const StoredWeight* weight : {&codes, &scales, &values}) {
        const auto prepared = fast_->prepare(weight->source);
        ASSERT_FALSE(prepared);
        EXPECT_EQ(prepared.error().code, ErrorCode::kCorrupt);
        EXPECT_EQ(prepared.error().message, reference_->prepare(weight->source).error().message);
    }
}

TEST_P(FastLinear, RowOpsMatchTheReference) {
    constexpr std::int64_t kCols = 77;
    Matrix x(3, kCols, 7);
    Matrix y(3, kCols, 8);
    for (float& value : x.values) value *= 30.0F;
    const Matrix weight(1, kCols, 9);
    const auto fast_weight = *fast_->prepare(f32_source(weight));
    const auto expected_weight = *reference_->prepare(f32_source(weight));
    Matrix expected(3, kCols);
    Matrix got(3, kCols);
    const auto expect_close = [&](const char* what) {
        EXPECT_LT(relative_error(got.values, expected.values), kF32Tolerance) << what;
    };
    reference_->rms_norm(x.view(), *expected_weight, 1e-6F, expected.view());
    fast_->rms_norm(x.view(), *fast_weight, 1e-6F, got.view());
    expect_close("rms_norm");
    reference_->silu_mul(x.view(), y.view(), expected.view());
    fast_->silu_mul(x.view(), y.view(), got.view());
    expect_close("silu_mul");
    reference_->add(x.view(), expected.view());
    fast_->add(x.view(), got.view());
    expect_close("add");
}

TEST_P(FastLinear, SiluIsFiniteAtExtremes) {
    Matrix gate(1, 4);
    gate.values = {-1000.0F, -88.0F, 88.0F, 1000.0F};
    Matrix up(1, 4);
    up.values = {1.0F, 1.0F, 1.0F, 1.0F};
    Matrix out(1, 4);
    fast_->silu_mul(gate.view(), up.view(), out.view());
    EXPECT_NEAR(out.values[0], 0.0, 1e-30);
    EXPECT_NEAR(out.values[1], 0.0, 1e-30);
    EXPECT_EQ(out.values[2], 88.0F);
    EXPECT_EQ(out.values[3], 1000.0F);
}

TEST_P(FastLinear, EmbeddingRowsAreTheStoredValues) {
    for (const DType dtype : kDTypes) {
        const StoredWeight table(dtype, 300, 131, 4);
        const auto fast_table = *fast_->prepare(table.source);
        const auto expected_table = *reference_->prepare(table.source);
        const std::vector<std::int32_t> tokens{0, 63, 64, 299, 31, 32, 5};
        Matrix expected(7, 131);
        Matrix got(7, 131);
        reference_->embed(tokens, *expected_table, expected.view());
        fast_->embed(tokens, *fast_table, got.view());
        EXPECT_EQ(got.values, expected.values) << to_string(dtype);
    }
}

class FastExperts : public FastBackendTest {
  protected:
    static constexpr std::int64_t kHidden = 200;
    static constexpr std::int64_t kWidth = 150;
    static constexpr std::size_t kNumExperts = 6;

    struct Experts {
        std::vector<std::unique_ptr<PreparedWeight>> weights;
        std::vector<MlpWeights> views;
    };

    static Experts prepare(Backend& backend) {
        Experts experts;
        for (std::size_t e = 0; e < kNumExperts; ++e) {
            const StoredWeight gate(DType::kF8E4M3, kWidth, kHidden, 20 + e);
            const StoredWeight up(DType::kF8E4M3, kWidth, kHidden, 40 + e);
            const StoredWeight down(DType::kF8E4M3, kHidden, kWidth, 60 + e);
            MlpWeights view;
            for (const auto* stored : {&gate, &up, &down})
                experts.weights.push_back(*backend.prepare(stored->source));
            view.gate = experts.weights[3 * e].get();
            view.up = experts.weights[3 * e + 1].get();
            view.down = experts.weights[3 * e + 2].get();
            experts.views.push_back(view);
        }
        return experts;
    }

    // Expert 5 takes most rows, expert 1 none.
    static Routing routing_of(std::int64_t rows) {
        Routing routing{rows, 2, {}, {}};
        for (std::int64_t r = 0; r < rows; ++r) {
            constexpr std::int32_t kFirst[] = {0, 2, 3, 4};
            routing.experts.push_back(kFirst[r % 4]);
            routing.experts.push_back(5);
            routing.weights.insert(routing.weights.end(), {0.25F, 0.75F});
        }
        return routing;
    }
};

TEST_P(FastExperts, MatchTheReferenceAndKeepTheirBits) {
    const auto two = make(2);
    const Experts expected_experts = prepare(*reference_);
    const Experts fast_experts = prepare(*fast_);
    const Experts two_experts = prepare(*two);
    Matrix x(150, kHidden, 2);
    Matrix expected(300, kHidden);
    Matrix got(300, kHidden);
    reference_->run_experts(x.view(), routing_of(150), expected_experts.views, expected.view());
    two->run_experts(x.view(), routing_of(150), two_experts.views, got.view());
    EXPECT_LT(relative_error(got.values, expected.values), 2 * tolerance_of(GetParam()));
    for (const std::int64_t m : {0, 4, 148}) {  // rows that choose expert 0
        Matrix alone(2, kHidden);
        fast_->run_experts(x.view().row_range(m, 1), routing_of(1), fast_experts.views,
                           alone.view());
        for (std::int64_t c = 0; c < kHidden; ++c) {
            ASSERT_EQ(alone.at(0, c), got.at(2 * m, c)) << m;
            ASSERT_EQ(alone.at(1, c), got.at(2 * m + 1, c)) << m;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Cpu, FastLinear, every_fast_isa(), isa_name);
INSTANTIATE_TEST_SUITE_P(Cpu, FastExperts, every_fast_isa(), isa_name);

TEST(CpuIsa, NamesAreChosenOrRefused) {
    EXPECT_EQ(*choose_cpu_isa("auto"), detect_cpu_isa());
    EXPECT_EQ(*choose_cpu_isa("scalar"), CpuIsa::kScalar);
    const auto unknown = choose_cpu_isa("sse9");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(unknown.error().param, "isa");
    for (const CpuIsa isa : {CpuIsa::kAvx2, CpuIsa::kAvx512, CpuIsa::kAvx512Bf16}) {
        const bool is_here = isa <= detect_cpu_isa();
        EXPECT_EQ(static_cast<bool>(choose_cpu_isa(to_string(isa))), is_here);
        EXPECT_EQ(static_cast<bool>(make_cpu_backend({}, isa)), is_here);
    }
}

TEST(CpuBackend, HasEveryNumericsOnItsInstructionSet) {
    for (const CpuIsa isa : {CpuIsa::kScalar, detect_cpu_isa()}) {
        for (const Numerics numerics : {Numerics::kW8A16, Numerics::kW8A8Block}) {
            const auto made = make_cpu_backend({numerics, 1}, isa);
            ASSERT_TRUE(made);
            EXPECT_EQ((*made)->name(), isa == CpuIsa::kScalar ? "cpu-reference" : to_string(isa));
            const auto threads = make_cpu_backend({numerics, 0}, isa);
            ASSERT_FALSE(threads);
            EXPECT_EQ(threads.error().param, "num_threads");
        }
    }
}

}  // namespace
}  // namespace turnpike::kernels
