#include "controlplane/cli/table.h"

#include <algorithm>
#include <utility>

#include "config/base/check.h"

namespace turnpike::controlplane::cli {
namespace {

std::size_t width_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

}  // namespace

Table::Table(std::vector<std::string> headers) {
    for (std::string& header : headers) {
        const bool is_right = header.starts_with('>');
        is_right_.push_back(is_right);
        headers_.push_back(is_right ? header.substr(1) : std::move(header));
    }
}

void Table::add(std::vector<std::string> cells) {
    CHECK(cells.size() == headers_.size());
    rows_.push_back(std::move(cells));
}

std::string Table::to_text() const {
    if (rows_.empty()) return "(none)\n";
    std::vector<std::size_t> widths;
    for (std::size_t column = 0; column < headers_.size(); ++column) {
        std::size_t width = width_of(headers_[column]);
        for (const auto& row : rows_) width = std::max(width, width_of(row[column]));
        widths.push_back(width);
    }
    std::string text;
    const auto append = [&](const std::vector<std::string>& cells) {
        std::string line;
        for (std::size_t column = 0; column < cells.size(); ++column) {
            const std::string padding(widths[column] - width_of(cells[column]), ' ');
            if (column > 0) line += "  ";
            line += is_right_[column] ? padding + cells[column] : cells[column] + padding;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    };
    append(headers_);
    for (const auto& row : rows_) append(row);
    return text;
}

}  // namespace turnpike::controlplane::cli
