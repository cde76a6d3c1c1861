// YaRN's frequencies against the published model's values, and rotations at far positions.
#include "kernels/api/rope.h"

#include <gtest/gtest.h>

#include <cmath>

namespace turnpike::kernels {
namespace {

YarnParams published() {
    YarnParams params;  // DeepSeek-V3 and R1
    params.dim = 64;
    params.theta = 10000.0;
    params.factor = 40.0;
    params.original_max_positions = 4096;
    return params;
}

TEST(Yarn, FrequenciesOfThePublishedModel) {
    const auto frequencies = yarn_inverse_frequencies(published());
    ASSERT_EQ(frequencies.size(), 32U);
    for (std::size_t i = 0; i <= 10; ++i) {
        EXPECT_DOUBLE_EQ(frequencies[i], std::pow(10000.0, -2.0 * static_cast<double>(i) / 64.0));
    }
    EXPECT_NEAR(frequencies[11], 0.0390069266, 1e-10);
    EXPECT_NEAR(frequencies[16], 0.0055, 1e-10);
    EXPECT_NEAR(frequencies[22], 0.000177827941, 1e-12);
    for (std::size_t i = 23; i < 32; ++i) {
        const double plain = std::pow(10000.0, -2.0 * static_cast<double>(i) / 64.0);
        EXPECT_NEAR(frequencies[i], plain / 40.0, 1e-15);
    }
}

TEST(Yarn, FactorOneIsPlainRotation) {
    YarnParams params = published();
    params.factor = 1.0;
    const auto frequencies = yarn_inverse_frequencies(params);
    EXPECT_DOUBLE_EQ(frequencies[31], std::pow(10000.0, -62.0 / 64.0));
}

TEST(Yarn, SoftmaxCorrection) {
    EXPECT_NEAR(yarn_mscale(40.0, 1.0), 1.3688879454, 1e-10);
    const double scale = std::pow(yarn_mscale(40.0, 1.0), 2) / std::sqrt(192.0);
    EXPECT_NEAR(scale, 0.1352337788608801, 1e-14);
    EXPECT_EQ(yarn_mscale(1.0, 1.0), 1.0);
}

// A float product of position and frequency is off by up to 0.01 rad at the last position.
TEST(RopeRows, FarPositionsAreExact) {
    const auto frequencies = yarn_inverse_frequencies(published());
    const std::vector<std::int32_t> positions{0, 1, 4095, 4096, 163839};
    const RopeRows rows = make_rope_rows(frequencies, positions);
    ASSERT_EQ(rows.num_pairs, 32);
    ASSERT_EQ(rows.cosines.size(), positions.size() * 32);
    for (std::size_t p = 0; p < positions.size(); ++p) {
        for (std::size_t j = 0; j < 32; ++j) {
            const long double angle = static_cast<long double>(frequencies[j]) * positions[p];
            EXPECT_NEAR(rows.cosines[p * 32 + j], static_cast<double>(std::cos(angle)), 6e-8);
            EXPECT_NEAR(rows.sines[p * 32 + j], static_cast<double>(std::sin(angle)), 6e-8);
        }
    }
}

}  // namespace
}  // namespace turnpike::kernels
