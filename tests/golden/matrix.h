// The matrix of what was found: a table per quantity, golden by instruction set. Printed when the
// whole binary has run; a case that runs alone prints its own rows.
#pragma once

#include <map>
#include <string>
#include <utility>

namespace turnpike::engine {

class Matrix {
  public:
    // A cell of the table; a later one in the same place is kept where it is larger. Cells beyond
    // the tolerance are marked.
    void note(const std::string& table,
              const std::string& numerics,
              const std::string& golden,
              const std::string& isa,
              double value,
              double tolerance);
    // Words at the end of a golden's row.
    void remark(const std::string& table,
                const std::string& numerics,
                const std::string& golden,
                const std::string& words);
    void print() const;

  private:
    struct Cell {
        double value = 0.0;
        double tolerance = 0.0;
    };

    struct Row {
        std::map<std::string, Cell> cells;
        std::string words;
    };

    using Table = std::map<std::pair<std::string, std::string>, Row>;  // numerics, golden
    std::map<std::string, Table> tables_;
};

// Of this process.
Matrix& matrix();

}  // namespace turnpike::engine
