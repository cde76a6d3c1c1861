// MeterFile: the engine's own count of every request, in a shared memory mapping, so that it
// outlives kill -9 of the engine. What a gateway bills or writes off must add up to it.
//
// Layout, little-endian: one 4,096-byte header {char magic[8] "TPMETER1", zeros}, then 80-byte
// slots {char request_id[40], i64 prompt, cached, completion, reasoning, i32 state, i32 zero};
// state 0 unused, 1 open, 2 final, 3 withdrawn. The file grows by whole segments; slots are used in
// order, withdrawn ones again first.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/base/result.h"
#include "config/base/unique_handle.h"
#include "engine/api/status.h"

namespace turnpike::engine {

class MeterFile {
  public:
    struct Slot;

    // Opens or creates; requests that were open become final with the counts they had. kCorrupt for
    // another kind of file.
    static Result<std::unique_ptr<MeterFile>> open(const std::string& path);
    ~MeterFile();

    // Begins a request; kConflict when the id is known already. Any thread.
    Result<Slot*> begin(const std::string& request_id, const TokenUsage& usage);
    // One writer per slot; readers on any thread see each count whole.
    static void update(Slot& slot, const TokenUsage& usage);
    static void finish(Slot& slot);
    // As if the request had never come: it was refused before it cost anything.
    void withdraw(Slot& slot);

    std::optional<MeterEntry> find(const std::string& request_id) const;
    MeterTotals totals() const;

  private:
    MeterFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    Status map_segment();
    Status load();
    Result<Slot*> take_slot();
    Slot& slot_at(std::size_t index) const;

    UniqueFd fd_;
    std::string path_;
    mutable std::mutex mutex_;
    std::vector<Slot*> segments_;
    std::size_t num_slots_ = 0;  // used ones, withdrawn ones included
    std::vector<Slot*> withdrawn_;
    std::unordered_map<std::string, Slot*> by_id_;
};

}  // namespace turnpike::engine
