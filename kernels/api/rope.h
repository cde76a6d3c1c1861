// Rotary positions with YaRN scaling: the frequencies and the softmax correction, in double
// precision. DeepSeek-V3 inference/model.py, precompute_freqs_cis; YaRN: Peng et al. 2023,
// section 3.
#pragma once

#include <cstdint>
#include <vector>

namespace turnpike::kernels {

struct YarnParams {
    std::int64_t dim = 64;  // rotated width, even
    double theta = 10000.0;
    double factor = 1.0;  // 1 = plain rotary positions
    std::int64_t original_max_positions = 4096;
    double beta_fast = 32.0;
    double beta_slow = 1.0;
};

// Angle per position of each pair (x[2j], x[2j+1]): dim / 2 values.
std::vector<double> yarn_inverse_frequencies(const YarnParams& params);

// 0.1 * mscale * ln(factor) + 1, or 1 when factor <= 1. DeepSeek multiplies the softmax scale by
// its square.
double yarn_mscale(double factor, double mscale);

// Cosines and sines of one step's rows: each [positions.size(), num_pairs] f32, computed in double,
// so that position 163,839 is as exact as position 1.
struct RopeRows {
    std::int64_t num_pairs = 0;
    std::vector<float> cosines;
    std::vector<float> sines;
};

// scale multiplies both, for models that scale attention there instead of in the softmax.
RopeRows make_rope_rows(const std::vector<double>& inverse_frequencies,
                        const std::vector<std::int32_t>& positions,
                        double scale = 1.0);

}  // namespace turnpike::kernels
