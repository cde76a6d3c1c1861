// TempDir: a directory of the test's own under the system's temporary folder, removed at the end.
// Names are short, so that Unix sockets fit below it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "config/base/check.h"

namespace turnpike::test {

class TempDir {
  public:
    TempDir() {
        std::string pattern = (std::filesystem::temp_directory_path() / "tp-XXXXXX").string();
        CHECK(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }

    ~TempDir() {
        std::error_code ignored;  // a test that failed may have left anything behind
        std::filesystem::remove_all(path_, ignored);
    }

    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    const std::filesystem::path& path() const { return path_; }

    // The path of `name` inside, as text.
    std::string file(const std::string& name) const { return (path_ / name).string(); }

  private:
    std::filesystem::path path_;
};

}  // namespace turnpike::test
