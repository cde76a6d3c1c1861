// What a gateway finds after a crash: two segments of framed payloads, a raw tail behind them, and
// a cursor. Whole entries are never lost, a torn end is cut once, and a second scan sees the same.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gateway/edge/outbox_scan.h"
#include "gateway/edge/outbox_segment.h"
#include "tests/fuzz/outbox_frame.h"
#include "tests/fuzz/target.h"
#include "tests/support/temp_dir.h"

using namespace turnpike;
using namespace turnpike::gateway;
using turnpike::fuzz::Bytes;

namespace {

void write_file(const std::string& path, std::string_view bytes) {
    std::ofstream file(path, std::ios::binary);
    file << bytes;
    CHECK(file.flush().good());
}

std::string entries(Bytes& input) {
    std::string bytes;
    for (int i = input.byte() % 4; i > 0; --i) bytes += fuzz::framed(input.piece());
    return bytes;
}

std::size_t size_of(const std::string& path) {
    return static_cast<std::size_t>(std::filesystem::file_size(path));
}

void check_scan(const std::string& dir, Log& log) {
    const auto first = scan_outbox(dir, log);
    if (!first) return fuzz::check_error(first.error(), {ErrorCode::kCorrupt});
    CHECK(first->next_sequence >= 1);
    CHECK(first->segment_end.size() == 2);
    for (const auto& [number, end] : first->segment_end) {
        CHECK(size_of(segment_path(dir, number)) == end);
    }
    const auto second = scan_outbox(dir, log);
    CHECK(second);
    CHECK(second->segment_end == first->segment_end);
    CHECK(second->next_sequence == first->next_sequence);
    CHECK(second->orphans.size() == first->orphans.size());
}

void check_cursor(const std::string& dir) {
    const auto cursor = load_cursor(dir);
    CHECK(cursor);
    CHECK(cursor->sequence >= 1 && cursor->segment >= 0);
    CHECK(cursor->offset <= std::size_t{1} << 62U);
    CHECK(save_cursor(dir, *cursor));
    const auto again = load_cursor(dir);
    CHECK(again && again->sequence == cursor->sequence && again->segment == cursor->segment);
    CHECK(again->offset == cursor->offset);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const test::TempDir kFolder;
    static const std::string kDir = kFolder.path().string();
    static const SystemClock kClock;
    // Torn ends are warned of, once per input: that is not what a run is for.
    static Log log(kClock, "fuzz", LogLevel::kError);
    Bytes input(fuzz::text_of(data, size));
    const std::string cursor(input.piece());
    const std::string older = entries(input);
    const std::string newer = entries(input) + std::string(input.rest());
    write_file(segment_path(kDir, 1), older);
    write_file(segment_path(kDir, 2), newer);
    write_file(kDir + "/cursor", cursor);
    check_scan(kDir, log);
    check_cursor(kDir);
    return 0;
}
