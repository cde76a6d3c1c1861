// The reference backend through its interface: refusals, embedding, rotation, sampling, shape bugs.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/api/cpu_reference.h"
#include "tests/unit/kernels/matrix.h"

namespace turnpike::kernels {
namespace {

std::unique_ptr<Backend> make_backend() {
    auto backend = make_cpu_reference_backend({Numerics::kW8A16, 1});
    EXPECT_TRUE(backend);
    return std::move(*backend);
}

TEST(ReferenceBackend, RefusesNoThreads) {
    const auto backend = make_cpu_reference_backend({Numerics::kW8A16, 0});
    ASSERT_FALSE(backend);
    EXPECT_EQ(backend.error().param, "num_threads");
}

TEST(ReferenceBackend, BuffersAreAlignedAndZero) {
    const auto backend = make_backend();
    const auto buffer = backend->allocate(100);
    EXPECT_EQ(buffer->num_bytes(), 100U);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer->data()) % 64, 0U);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(static_cast<const char*>(buffer->data())[i], 0);
}

TEST(ReferenceBackend, EmbedsAndGathersRows) {
    const auto backend = make_backend();
    const Matrix table(5, 4, 1);
    const auto weight = backend->prepare(f32_source(table));
    ASSERT_TRUE(weight);
    Matrix out(3, 4);
    const std::vector<std::int32_t> tokens{4, 0, 4};
    backend->embed(tokens, **weight, out.view());
    for (std::int64_t c = 0; c < 4; ++c) {
        EXPECT_EQ(out.at(0, c), table.at(4, c));
        EXPECT_EQ(out.at(1, c), table.at(0, c));
    }
    Matrix picked(1, 4);
    const std::vector<std::int64_t> rows{1};
    backend->gather_rows(out.view(), rows, picked.view());
    EXPECT_EQ(picked.at(0, 2), table.at(0, 2));
    std::vector<float> host(4);
    backend->download(picked.view(), host);
    EXPECT_EQ(host, picked.values);
}

// The dot product of two rotated pairs depends on the distance of their positions alone.
TEST(ReferenceBackend, RotationIsRelative) {
    const auto backend = make_backend();
    YarnParams params;
    params.dim = 8;
    const auto frequencies = yarn_inverse_frequencies(params);
    const Matrix query(1, 8, 2);
    const Matrix key(1, 8, 3);
    const auto score = [&](std::int32_t at_query, std::int32_t at_key) {
        Matrix rows(2, 13);  // eight rotated columns between others
        for (std::int64_t i = 0; i < 8; ++i) {
            rows.at(0, 3 + i) = query.at(0, i);
            rows.at(1, 3 + i) = key.at(0, i);
        }
        rows.at(0, 0) = 5.0F;
        rows.at(0, 12) = 6.0F;
        backend->rope(rows.view(), {1, 13, 3}, make_rope_rows(frequencies, {at_query, at_key}));
        EXPECT_EQ(rows.at(0, 0), 5.0F);
        EXPECT_EQ(rows.at(0, 12), 6.0F);
        double sum = 0.0;
        for (std::int64_t i = 3; i < 11; ++i)
            sum += static_cast<double>(rows.at(0, i)) * rows.at(1, i);
        return sum;
    };
    EXPECT_NEAR(score(7, 3), score(1007, 1003), 1e-5);
    EXPECT_GT(std::abs(score(7, 3) - score(7, 4)), 1e-3);
}

TEST(ReferenceBackend, NeverSamplesPaddingRows) {
    const auto backend = make_backend();
    Matrix logits(2, 6);
    for (std::int64_t m = 0; m < 2; ++m) logits.at(m, 5) = 100.0F;
    std::vector<SampleParams> params(2);
    params[0].temperature = 0.0F;
    std::vector<SampledRow> out(2);
    for (params[1].position = 0; params[1].position < 200; ++params[1].position) {
        backend->sample(logits.view(), params, 5, out);
        EXPECT_EQ(out[0].token, 0);
        EXPECT_LT(out[1].token, 5);
        EXPECT_NEAR(out[1].logprob, std::log(0.2), 1e-6);
    }
}

TEST(ReferenceBackendDeathTest, WrongShapesAreBugs) {
    const auto backend = make_backend();
    const Matrix values(4, 8, 4);
    const auto weight = backend->prepare(f32_source(values));
    ASSERT_TRUE(weight);
    Matrix x(2, 7);
    Matrix out(2, 4);
    EXPECT_DEATH(backend->linear(x.view(), **weight, out.view()), "cols");
    EXPECT_DEATH(backend->embed(std::vector<std::int32_t>{4, 1}, **weight, x.view()), "cols");
}

TEST(ReferenceBackend, RotatesHalvesWhenAsked) {
    const auto backend = make_backend();
    Matrix x(1, 6);
    x.values = {9.0F, 1.0F, 2.0F, 3.0F, 4.0F, 9.0F};
    RopeRows rope;
    rope.num_pairs = 2;
    rope.cosines = {0.0F, 1.0F};
    rope.sines = {1.0F, 0.0F};
    backend->rope(x.view(), {1, 5, 1, Backend::RopePairs::kHalves}, rope);
    EXPECT_EQ(x.values, (std::vector<float>{9.0F, -3.0F, 2.0F, 1.0F, 4.0F, 9.0F}));
    backend->rope(x.view(), {1, 5, 1, Backend::RopePairs::kInterleaved}, rope);
    EXPECT_EQ(x.values, (std::vector<float>{9.0F, -2.0F, -3.0F, 1.0F, 4.0F, 9.0F}));
}

}  // namespace
}  // namespace turnpike::kernels
