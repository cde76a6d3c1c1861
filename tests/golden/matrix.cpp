// See matrix.h.
#include "tests/golden/matrix.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

namespace turnpike::engine {
namespace {

constexpr std::array kColumns{"scalar", "avx2", "avx512", "avx512-bf16", "cuda"};

class Printer : public testing::Environment {
  public:
    void TearDown() override { matrix().print(); }
};

const auto* const kPrinter = testing::AddGlobalTestEnvironment(new Printer);

}  // namespace

void Matrix::note(const std::string& table,
                  const std::string& numerics,
                  const std::string& golden,
                  const std::string& isa,
                  double value,
                  double tolerance) {
    Row& row = tables_[table][{numerics, golden}];
    const auto [it, is_new] = row.cells.try_emplace(isa, Cell{value, tolerance});
    // A NaN is larger than anything here.
    if (!is_new && !(value <= it->second.value)) it->second = {value, tolerance};
}

void Matrix::remark(const std::string& table,
                    const std::string& numerics,
                    const std::string& golden,
                    const std::string& words) {
    tables_[table][{numerics, golden}].words = words;
}

void Matrix::print() const {
    for (const auto& [name, table] : tables_) {
        std::printf("\n%s\n%-11s %-24s", name.c_str(), "numerics", "golden");
        for (const char* column : kColumns) std::printf("  %18s", column);
        std::printf("\n");
        for (const auto& [key, row] : table) {
            std::printf("%-11s %-24s", key.first.c_str(), key.second.c_str());
            for (const char* column : kColumns) {
                const auto cell = row.cells.find(column);
                if (cell == row.cells.end()) {
                    std::printf("  %18s", "-");
                    continue;
                }
                const auto& [value, tolerance] = cell->second;
                std::printf(" %c%.1e of %.1e", value <= tolerance ? ' ' : '!', value, tolerance);
            }
            std::printf("  %s\n", row.words.c_str());
        }
    }
}

Matrix& matrix() {
    static Matrix instance;
    return instance;
}

}  // namespace turnpike::engine
