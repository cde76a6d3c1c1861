// Counter and Histogram: what is counted while serving, as plain objects that are handed in, and
// their text for Prometheus. Any thread; never a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace turnpike {

class Counter {
  public:
    void add(std::int64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }

    std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::int64_t> value_{0};
};

class Histogram {
  public:
    static constexpr std::size_t kMaxBounds = 24;

    // `bounds`: ascending upper bounds, at most kMaxBounds; they outlive the histogram.
    explicit Histogram(std::span<const double> bounds);

    // A value counts for the first bound that is not below it.
    void observe(double value);

    std::span<const double> bounds() const { return bounds_; }

    // Values in bucket `index`, not cumulative; index bounds().size() holds what is over all.
    std::int64_t count(std::size_t index) const;

    double sum() const { return sum_.load(std::memory_order_relaxed); }

  private:
    const std::span<const double> bounds_;
    std::array<std::atomic<std::int64_t>, kMaxBounds + 1> counts_{};
    std::atomic<double> sum_{0.0};
};

// Builds the text exposition format, version 0.0.4.
class MetricsText {
  public:
    static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

    // `labels` stand on every sample: name="value" pairs, escaped and joined by commas, or none.
    explicit MetricsText(std::string labels) : labels_(std::move(labels)) {}

    // Opens a family; its samples follow. `type`: counter, gauge or histogram.
    void family(std::string_view name, std::string_view type, std::string_view help);
    // `more`: labels of the sample's own, like reason="stop".
    void sample(std::string_view name, double value, std::string_view more = {});
    void counter(std::string_view name, std::string_view help, double value);
    void gauge(std::string_view name, std::string_view help, double value);
    void histogram(std::string_view name, std::string_view help, const Histogram& histogram);

    const std::string& text() const { return text_; }

  private:
    const std::string labels_;
    std::string text_;
};

// name="value" with what the format wants escaped.
std::string metric_label(std::string_view name, std::string_view value);

}  // namespace turnpike
