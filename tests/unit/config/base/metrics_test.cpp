// Counters, histograms and their text: names that others read, buckets that add up.
#include "config/base/metrics.h"

#include <gtest/gtest.h>

#include <array>

namespace turnpike {
namespace {

constexpr std::array kBounds{0.5, 1.0, 2.5};

TEST(Histogram, AValueCountsForTheFirstBoundThatIsNotBelowIt) {
    Histogram histogram(kBounds);
    for (const double value : {0.1, 0.5, 0.6, 2.5, 2.6, 100.0}) histogram.observe(value);
    EXPECT_EQ(histogram.count(0), 2);
    EXPECT_EQ(histogram.count(1), 1);
    EXPECT_EQ(histogram.count(2), 1);
    EXPECT_EQ(histogram.count(3), 2);
    EXPECT_NEAR(histogram.sum(), 106.3, 1e-9);
}

TEST(MetricsText, IsTheExpositionFormat) {
    Histogram histogram(kBounds);
    histogram.observe(0.25);
    histogram.observe(7.0);
    MetricsText text(metric_label("model", "a\"b\\c\nd"));
    text.counter("x_total", "How many.", 3);
    text.gauge("y", "How full.", 0.125);
    text.histogram("z_seconds", "How long.", histogram);
    const std::string label = "model=\"a\\\"b\\\\c\\nd\"";
    EXPECT_EQ(text.text(), "# HELP x_total How many.\n# TYPE x_total counter\nx_total{" + label +
                               "} 3\n# HELP y How full.\n# TYPE y gauge\ny{" + label +
                               "} 0.125\n# HELP z_seconds How long.\n# TYPE z_seconds histogram\n"
                               "z_seconds_bucket{" +
                               label + ",le=\"0.5\"} 1\nz_seconds_bucket{" + label +
                               ",le=\"1\"} 1\nz_seconds_bucket{" + label +
                               ",le=\"2.5\"} 1\nz_seconds_bucket{" + label +
                               ",le=\"+Inf\"} 2\nz_seconds_sum{" + label +
                               "} 7.25\nz_seconds_count{" + label + "} 2\n");
}

TEST(MetricsText, WithoutLabelsThereAreNoBraces) {
    MetricsText text("");
    text.gauge("y", "How full.", 1);
    text.family("x_total", "counter", "How many.");
    text.sample("x_total", 2, metric_label("route", "chat"));
    EXPECT_EQ(text.text(),
              "# HELP y How full.\n# TYPE y gauge\ny 1\n# HELP x_total How many.\n"
              "# TYPE x_total counter\nx_total{route=\"chat\"} 2\n");
}

}  // namespace
}  // namespace turnpike
