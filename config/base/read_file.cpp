#include "config/base/read_file.h"

#include <cstddef>
#include <fstream>
#include <utility>

namespace turnpike {

std::optional<std::string> read_to_end(std::istream& in) {
    std::string text;
    for (char buffer[4096]; in.read(buffer, sizeof buffer), in.gcount() > 0;)
        text.append(buffer, static_cast<std::size_t>(in.gcount()));
    if (!in.eof()) return std::nullopt;
    return text;
}

Result<std::string> read_file(const std::string& what, const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (file) {
        if (auto text = read_to_end(file)) return std::move(*text);
    }
    return errno_error("cannot read " + what + " " + path);
}

}  // namespace turnpike
