// Table: rows of text in aligned columns, for people.
#pragma once

#include <string>
#include <vector>

namespace turnpike::controlplane::cli {

class Table {
  public:
    // A header that begins with '>' makes its column align to the right.
    explicit Table(std::vector<std::string> headers);

    void add(std::vector<std::string> cells);
    // With a line end after each row; "(none)" when there is no row. Widths count code points.
    std::string to_text() const;

  private:
    std::vector<std::string> headers_;
    std::vector<bool> is_right_;
    std::vector<std::vector<std::string>> rows_;
};

}  // namespace turnpike::controlplane::cli
