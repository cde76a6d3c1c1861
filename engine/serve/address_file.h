// AddressFile: where an engine tells the address that it got, for whoever started it with port 0.
#pragma once

#include <string>

#include "config/base/result.h"
#include "config/net/address.h"

namespace turnpike::engine {

class AddressFile {
  public:
    // Removes what an earlier run left, so that nobody takes its address for this run's. An empty
    // path: nothing is written or removed.
    static Result<AddressFile> prepare(std::string path);

    // One line, whole at once: a reader sees no file or all of it. Once the address is listened on.
    Status write(const net::NetAddress& address) const;

  private:
    explicit AddressFile(std::string path) : path_(std::move(path)) {}

    std::string path_;
};

}  // namespace turnpike::engine
