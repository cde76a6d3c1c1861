// See rope.h.
#include "kernels/api/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "config/base/check.h"

namespace turnpike::kernels {
namespace {

// The pair index at which a frequency makes `rotations` turns over the original context.
double correction_index(const YarnParams& params, double rotations) {
    const double span = static_cast<double>(params.original_max_positions);
    return static_cast<double>(params.dim) * std::log(span / (rotations * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(params.theta));
}

}  // namespace

std::vector<double> yarn_inverse_frequencies(const YarnParams& params) {
    CHECK(params.dim > 0 && params.dim % 2 == 0);
    const double low = std::max(std::floor(correction_index(params, params.beta_fast)), 0.0);
    double high = std::min(std::ceil(correction_index(params, params.beta_slow)),
                           static_cast<double>(params.dim - 1));
    if (low == high) high += 0.001;  // as the reference: no division by zero
    std::vector<double> frequencies;
    for (std::int64_t j = 0; j < params.dim / 2; ++j) {
        const double index = static_cast<double>(j);
        const double plain = std::pow(params.theta, -2.0 * index / static_cast<double>(params.dim));
        const double ramp = std::clamp((index - low) / (high - low), 0.0, 1.0);
        const bool is_scaled = params.factor > 1.0;
        frequencies.push_back(is_scaled ? plain * (1.0 - ramp) + plain / params.factor * ramp
                                        : plain);
    }
    return frequencies;
}

double yarn_mscale(double factor, double mscale) {
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

RopeRows make_rope_rows(const std::vector<double>& inverse_frequencies,
                        const std::vector<std::int32_t>& positions,
                        double scale) {
    RopeRows rows;
    rows.num_pairs = static_cast<std::int64_t>(inverse_frequencies.size());
    rows.cosines.reserve(positions.size() * inverse_frequencies.size());
    rows.sines.reserve(positions.size() * inverse_frequencies.size());
    for (const std::int32_t position : positions) {
        for (const double frequency : inverse_frequencies) {
            const double angle = static_cast<double>(position) * frequency;
            rows.cosines.push_back(static_cast<float>(scale * std::cos(angle)));
            rows.sines.push_back(static_cast<float>(scale * std::sin(angle)));
        }
    }
    return rows;
}

}  // namespace turnpike::kernels
