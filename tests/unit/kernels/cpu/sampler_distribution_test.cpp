// How often the sampler chooses each token, by Pearson's chi-square against probabilities that are
// worked out here in double, from the formulas of the papers and of vLLM's documentation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "kernels/cpu/reference/sampler.h"

namespace turnpike::kernels::reference {
namespace {

constexpr std::size_t kNumTokens = 40;
constexpr int kNumDraws = 40'000;
// Each case fails a right sampler with this probability; the seeds are fixed, so it never varies.
constexpr double kSignificance = 1e-3;

// The upper tail of the chi-square distribution: Q(k/2, x/2) by the series of the lower gamma
// function (Abramowitz and Stegun, 6.5.29).
double chi_square_tail(double x, double degrees) {
    const double a = degrees / 2.0;
    const double z = x / 2.0;
    double term = 1.0 / a;
    double sum = term;
    for (int n = 1; n < 10'000 && term > sum * 1e-16; ++n) {
        term *= z / (a + n);
        sum += term;
    }
    return 1.0 - sum * std::exp(-z + a * std::log(z) - std::lgamma(a));
}

TEST(ChiSquareTail, PublishedQuantiles) {
    EXPECT_NEAR(chi_square_tail(3.841, 1.0), 0.05, 1e-4);
    EXPECT_NEAR(chi_square_tail(18.467, 4.0), 0.001, 1e-5);
    EXPECT_NEAR(chi_square_tail(55.758, 40.0), 0.05, 1e-4);
}

std::vector<float> random_logits(std::uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-2.0F, 2.0F);
    std::vector<float> logits(kNumTokens);
    for (float& logit : logits) logit = uniform(random);
    return logits;
}

std::vector<double> edited(const std::vector<float>& logits, const SampleParams& params) {
    std::vector<double> values(logits.begin(), logits.end());
    for (const TokenBias& entry : params.bias)
        values[static_cast<std::size_t>(entry.token)] += static_cast<double>(entry.bias);
    for (const SeenToken& seen : params.seen) {
        double& value = values[static_cast<std::size_t>(seen.token)];
        const auto repetition = static_cast<double>(params.repetition_penalty);
        value = value > 0 ? value / repetition : value * repetition;
        value -= static_cast<double>(params.frequency_penalty) * seen.num_generated;
        value -= seen.num_generated > 0 ? static_cast<double>(params.presence_penalty) : 0.0;
    }
    for (std::size_t token = 0; token < values.size() && !params.allowed.empty(); ++token) {
        if ((params.allowed[token / 32] >> (token % 32) & 1U) == 0) values[token] = -INFINITY;
    }
    return values;
}

void normalize(std::vector<double>& probabilities) {
    const double total = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
    for (double& p : probabilities) p /= total;
}

// Each filter sees the distribution, normalised, that the one before has left.
std::vector<double> expected_probabilities(const std::vector<float>& logits,
                                           const SampleParams& params) {
    std::vector<double> p;
    for (const double value : edited(logits, params))
        p.push_back(std::exp(value / static_cast<double>(params.temperature)));
    normalize(p);
    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return p[a] > p[b]; });
    if (params.top_k > 0) {
        for (std::size_t i = static_cast<std::size_t>(params.top_k); i < order.size(); ++i)
            p[order[i]] = 0.0;
        normalize(p);
    }
    if (params.top_p < 1.0F) {
        double before = 0.0;
        for (const std::size_t token : order) {
            const double own = p[token];
            if (before >= static_cast<double>(params.top_p)) p[token] = 0.0;
            before += own;
        }
        normalize(p);
    }
    const double floor = static_cast<double>(params.min_p) * p[order[0]];
    for (double& probability : p) probability = probability < floor ? 0.0 : probability;
    normalize(p);
    return p;
}

// The p-value of the sampler's draws with `params`; 0 when a token came that cannot.
double p_value(const std::vector<double>& expected,
               const std::vector<float>& logits,
               SampleParams params) {
    std::vector<int> seen(logits.size());
    for (params.position = 0; params.position < kNumDraws; ++params.position)
        ++seen[static_cast<std::size_t>(sample_row(logits, params).token)];
    double sum = 0.0;
    double rare_expected = 0.0;  // tokens expected under 5 times are one class (Cochran's rule)
    double rare_seen = 0.0;
    int num_classes = 0;
    const auto add_class = [&](double wanted, double found) {
        sum += (found - wanted) * (found - wanted) / wanted;
        ++num_classes;
    };
    for (std::size_t token = 0; token < expected.size(); ++token) {
        const double wanted = expected[token] * kNumDraws;
        if (wanted == 0.0 && seen[token] > 0) return 0.0;
        if (wanted >= 5.0) {
            add_class(wanted, seen[token]);
        } else {
            rare_expected += wanted;
            rare_seen += seen[token];
        }
    }
    if (rare_expected > 0.0) add_class(rare_expected, rare_seen);
    EXPECT_GE(num_classes, 5);
    return chi_square_tail(sum, num_classes - 1);
}

struct Case {
    const char* name;
    SampleParams params;
};

const std::vector<SeenToken> kSeen{{1, 0}, {3, 2}, {4, 1}, {9, 5}, {12, 0}, {17, 3}, {33, 1}};
const std::vector<TokenBias> kBias{{4, 2.5F}, {5, -3.0F}, {9, 1.0F}, {39, 4.0F}};
const std::vector<std::uint32_t> kAllowed{0x5A5AF0F3U, 0x000000C5U};

std::vector<Case> cases() {
    std::vector<Case> list;
    const auto add = [&](const char* name, auto change) {
        SampleParams params;
        params.seed = 20261124 + list.size();
        change(params);
        list.push_back({name, params});
    };
    add("plain", [](SampleParams&) {});
    add("temperature 0.6", [](SampleParams& p) { p.temperature = 0.6F; });
    add("temperature 1.7", [](SampleParams& p) { p.temperature = 1.7F; });
    add("top-p 0.95 at 0.6", [](SampleParams& p) { p.temperature = 0.6F, p.top_p = 0.95F; });
    add("top-p 0.5", [](SampleParams& p) { p.top_p = 0.5F; });
    add("top-k 7", [](SampleParams& p) { p.top_k = 7; });
    add("min-p 0.05", [](SampleParams& p) { p.min_p = 0.05F; });
    add("all filters", [](SampleParams& p) {
        p.temperature = 1.3F, p.top_k = 20, p.top_p = 0.9F, p.min_p = 0.03F;
    });
    add("repetition", [](SampleParams& p) { p.repetition_penalty = 1.3F, p.seen = kSeen; });
    add("presence", [](SampleParams& p) { p.presence_penalty = 0.8F, p.seen = kSeen; });
    add("frequency", [](SampleParams& p) { p.frequency_penalty = -0.4F, p.seen = kSeen; });
    add("bias", [](SampleParams& p) { p.bias = kBias; });
    add("mask", [](SampleParams& p) { p.allowed = kAllowed; });
    add("everything", [](SampleParams& p) {
        p.repetition_penalty = 0.8F, p.presence_penalty = -0.5F, p.frequency_penalty = 0.3F;
        p.seen = kSeen, p.bias = kBias, p.allowed = kAllowed;
        p.temperature = 0.9F, p.top_k = 14, p.top_p = 0.98F, p.min_p = 0.001F;
    });
    return list;
}

TEST(SamplerDistribution, FrequenciesAreTheProbabilities) {
    const auto logits = random_logits(7);
    for (const Case& entry : cases()) {
        const auto expected = expected_probabilities(logits, entry.params);
        const double p = p_value(expected, logits, entry.params);
        std::printf("%-18s seed %llu  p = %.4f\n", entry.name,
                    static_cast<unsigned long long>(entry.params.seed), p);
        EXPECT_GT(p, kSignificance) << entry.name;
    }
}

// The test would see a wrong sampler: a temperature that is off by a tenth is found.
TEST(SamplerDistribution, SeesATemperatureThatIsALittleOff) {
    const auto logits = random_logits(7);
    for (const Case& entry : cases()) {
        const auto expected = expected_probabilities(logits, entry.params);
        SampleParams wrong = entry.params;
        wrong.temperature *= 1.1F;
        EXPECT_LT(p_value(expected, logits, wrong), kSignificance) << entry.name;
    }
}

}  // namespace
}  // namespace turnpike::kernels::reference
