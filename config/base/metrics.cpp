#include "config/base/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "config/base/check.h"

namespace turnpike {
namespace {

std::string number(double value) {
    char text[32];
    const bool is_integer = std::abs(value) < 0x1p53 && value == std::floor(value);
    std::snprintf(text, sizeof text, is_integer ? "%.0f" : "%.9g", value);
    return text;
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds) {
    CHECK(bounds.size() <= kMaxBounds && std::is_sorted(bounds.begin(), bounds.end()));
}

void Histogram::observe(double value) {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value);
    const auto index = static_cast<std::size_t>(bucket - bounds_.begin());
    counts_[index].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
}

std::int64_t Histogram::count(std::size_t index) const {
    return counts_[index].load(std::memory_order_relaxed);
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
    text_.append(name).append(" ").append(type).append("\n");
}

void MetricsText::sample(std::string_view name, double value, std::string_view more) {
    text_.append(name);
    if (!labels_.empty() || !more.empty()) {
        text_.append("{").append(labels_);
        if (!labels_.empty() && !more.empty()) text_.append(",");
        text_.append(more).append("}");
    }
    text_.append(" ").append(number(value)).append("\n");
}

void MetricsText::counter(std::string_view name, std::string_view help, double value) {
    family(name, "counter", help);
    sample(name, value);
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
    family(name, "gauge", help);
    sample(name, value);
}

void MetricsText::histogram(std::string_view name,
                            std::string_view help,
                            const Histogram& histogram) {
    family(name, "histogram", help);
    const std::string base(name);
    std::int64_t total = 0;
    for (std::size_t i = 0; i <= histogram.bounds().size(); ++i) {
        const bool is_last = i == histogram.bounds().size();
        total += histogram.count(i);
        sample(base + "_bucket", static_cast<double>(total),
               metric_label("le", is_last ? "+Inf" : number(histogram.bounds()[i])));
    }
    sample(base + "_sum", histogram.sum());
    sample(base + "_count", static_cast<double>(total));
}

std::string metric_label(std::string_view name, std::string_view value) {
    std::string label(name);
    label += "=\"";
    for (const char c : value) {
        if (c == '\n') {
            label += "\\n";
            continue;
        }
        if (c == '"' || c == '\\') label += '\\';
        label += c;
    }
    return label + "\"";
}

}  // namespace turnpike
