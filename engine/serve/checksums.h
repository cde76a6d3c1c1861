// The files of a checkpoint against a list of checksums.
#pragma once

#include <string>

#include "config/base/result.h"

namespace turnpike::engine {

// list_file: lines of "<64 hex digits>  <file name>", as sha256sum writes them, names relative to
// model_dir. Returns how many files were read and found right. Errors: kCorrupt naming the first
// file that differs, a line that is no checksum, or a list without any; kIo.
Result<int> check_checksums(const std::string& model_dir, const std::string& list_file);

}  // namespace turnpike::engine
