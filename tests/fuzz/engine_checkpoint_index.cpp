// model.safetensors.index.json beside two real shards: refused, or the checkpoint holds exactly the
// tensors that the index names, which check() sees.
#include <fstream>
#include <string>

#include "engine/model/checkpoint.h"
#include "tests/fuzz/target.h"
#include "tests/support/temp_dir.h"

using turnpike::ErrorCode;
using turnpike::engine::Checkpoint;

namespace {

void write_file(const std::string& path, std::string_view bytes) {
    std::ofstream file(path, std::ios::binary);
    file << bytes;
    CHECK(file.flush().good());
}

// One F32 tensor of two values.
std::string shard(const std::string& tensor) {
    const std::string header =
        "{\"" + tensor + "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}";
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    return file + header + std::string(8, '\0');
}

class Folder {
  public:
    Folder() {
        write_file(dir_.file("a.safetensors"), shard("x"));
        write_file(dir_.file("b.safetensors"), shard("y"));
    }

    std::string path() const { return dir_.path().string(); }

    std::string index() const { return dir_.file("model.safetensors.index.json"); }

  private:
    turnpike::test::TempDir dir_;
};

turnpike::engine::TensorSpec required(const std::string& name) {
    turnpike::engine::TensorSpec spec;
    spec.name = name;
    spec.shape = {2};
    spec.kind = turnpike::engine::TensorKind::kNorm;
    spec.is_required = true;
    return spec;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Folder kFolder;
    write_file(kFolder.index(), turnpike::fuzz::text_of(data, size));
    const auto checkpoint = Checkpoint::open(kFolder.path());
    if (!checkpoint) {
        // kIo: the index names a file that is not there.
        turnpike::fuzz::check_error(checkpoint.error(), {ErrorCode::kCorrupt, ErrorCode::kIo});
        return 0;
    }
    // Only x and y exist, so the index can have placed nothing else.
    const auto status = checkpoint->check({required("x"), required("y")}, 1);
    if (!status) turnpike::fuzz::check_error(status.error(), {ErrorCode::kCorrupt});
    for (const std::string name : {"x", "y"}) {
        if (status) CHECK(checkpoint->weight(name).cols == 2);
    }
    return 0;
}
