#include "engine/serve/address_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <utility>

namespace turnpike::engine {

Result<AddressFile> AddressFile::prepare(std::string path) {
    if (!path.empty() && ::unlink(path.c_str()) != 0 && errno != ENOENT)
        return errno_error("cannot remove the address file " + path);
    return AddressFile(std::move(path));
}

Status AddressFile::write(const net::NetAddress& address) const {
    if (path_.empty()) return {};
    const std::string temporary = path_ + ".new";
    {
        std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
        file << net::to_string(address) << '\n';
        file.flush();
        if (!file) return errno_error("cannot write the address file " + temporary);
    }
    if (std::rename(temporary.c_str(), path_.c_str()) != 0)
        return errno_error("cannot rename the address file to " + path_);
    return {};
}

}  // namespace turnpike::engine
