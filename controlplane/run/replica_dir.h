// ReplicaDir: what a replica has on disk, whoever starts it: <run_dir>/r/<replica id>/ with the
// engine's settings, log, lock and meter file. With a cluster it is on a file system of all nodes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/net/tls_files.h"
#include "controlplane/run/driver.h"

namespace turnpike::controlplane {

// How an engine is to listen.
struct EngineListen {
    std::string address;               // "unix:…", or "tls:HOST:0" for a port of its choice
    std::optional<net::TlsFiles> tls;  // of "tls:"; the paths as the engine's host has them
};

class ReplicaDir {
  public:
    ReplicaDir(const std::string& run_dir, const ReplicaId& id);

    // Every replica that has a directory; makes the parent. kIo.
    static Result<std::vector<ReplicaId>> list(const std::string& run_dir);

    const std::string& path() const { return path_; }

    std::string settings_file() const { return path_ + "/engine.json"; }

    std::string log_file() const { return path_ + "/engine.log"; }

    std::string address_file() const { return path_ + "/address"; }

    std::string pid_file() const { return path_ + "/pid"; }

    // "unix:<path>/engine.sock"; kInvalidArgument when that is too long for a socket.
    Result<std::string> socket_address() const;
    // Makes the directory and writes the engine's settings, whole; the address of an earlier
    // process is removed first.
    Status write_settings(const ReplicaSpec& spec, const EngineListen& listen) const;
    // In the settings; 0 when there are none.
    Epoch epoch() const;
    // What the engine wrote once it listened; empty before.
    std::string address() const;
    // The end of its log, in one line.
    std::string last_log() const;

  private:
    ReplicaId id_;
    std::string path_;
};

}  // namespace turnpike::controlplane
