// See step_message.h. Numbers as they lie in memory: both ends are one program on one kind of
// machine.
#include "engine/model/step_message.h"

#include <cstring>
#include <type_traits>
#include <utility>

namespace turnpike::engine {
namespace {

using kernels::AttentionSlice;

struct Head {
    std::uint64_t kind = 0;
    std::uint64_t num_bytes = 0;
};

class Writer {
  public:
    template <class T>
    void add(std::span<const T> values) {
        static_assert(std::is_trivially_copyable_v<T>);
        const std::uint64_t count = values.size();
        add_bytes(&count, sizeof count);
        add_bytes(values.data(), values.size_bytes());
    }

    template <class T>
    void add(const std::vector<T>& values) {
        add(std::span<const T>(values));
    }

    void add_slices(const std::vector<AttentionSlice>& slices) {
        std::vector<std::int64_t> numbers;
        for (const AttentionSlice& slice : slices)
            numbers.insert(numbers.end(), {slice.first_row, slice.num_rows, slice.first_position});
        add(numbers);
        for (const AttentionSlice& slice : slices) add(slice.block_table);
    }

    std::vector<std::byte> take() { return std::move(bytes_); }

  private:
    void add_bytes(const void* data, std::size_t count) {
        const auto* from = static_cast<const std::byte*>(data);
        bytes_.insert(bytes_.end(), from, from + count);
    }

    std::vector<std::byte> bytes_;
};

class Reader {
  public:
    explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

    // Nothing is read any more once something is missing.
    template <class T>
    std::vector<T> list() {
        std::uint64_t count = 0;
        if (!read(&count, sizeof count) || count > rest_.size() / sizeof(T)) is_good_ = false;
        std::vector<T> values(is_good_ ? count : 0);
        (void)read(values.data(), values.size() * sizeof(T));
        return values;
    }

    std::vector<AttentionSlice> slices(std::vector<std::vector<BlockId>>& tables) {
        const std::vector<std::int64_t> numbers = list<std::int64_t>();
        std::vector<AttentionSlice> slices;
        for (std::size_t i = 0; i + 3 <= numbers.size(); i += 3) {
            tables.push_back(list<BlockId>());
            // The list's own memory stays where it is when the table of tables grows.
            slices.push_back({numbers[i], numbers[i + 1], numbers[i + 2], tables.back()});
        }
        return slices;
    }

    bool is_done() const { return is_good_ && rest_.empty(); }

  private:
    bool read(void* to, std::size_t count) {
        if (!is_good_ || count > rest_.size()) return is_good_ = false;
        if (count > 0) std::memcpy(to, rest_.data(), count);
        rest_ = rest_.subspan(count);
        return true;
    }

    std::span<const std::byte> rest_;
    bool is_good_ = true;
};

}  // namespace

std::vector<std::byte> encode_step(const ForwardRows& rows,
                                   const std::vector<std::int64_t>& hidden_rows) {
    Writer writer;
    writer.add(rows.tokens);
    writer.add(rows.positions);
    writer.add(rows.logit_rows);
    writer.add(rows.pool_rows);
    writer.add(hidden_rows);
    writer.add_slices(rows.prompt_slices);
    writer.add_slices(rows.generated_slices);
    return writer.take();
}

Result<StepMessage> decode_step(StepKind kind, std::span<const std::byte> bytes) {
    Reader reader(bytes);
    StepMessage message;
    message.kind = kind;
    ForwardRows& rows = message.rows.rows;
    rows.tokens = reader.list<TokenId>();
    rows.positions = reader.list<std::int32_t>();
    rows.logit_rows = reader.list<std::int64_t>();
    rows.pool_rows = reader.list<std::int64_t>();
    message.rows.hidden_rows = reader.list<std::int64_t>();
    message.rows.is_chained = kind == StepKind::kChainedDraft;
    rows.prompt_slices = reader.slices(message.block_tables);
    rows.generated_slices = reader.slices(message.block_tables);
    if (reader.is_done()) return message;
    return Error{ErrorCode::kCorrupt,
                 "a step of " + std::to_string(bytes.size()) + " bytes cannot be read",
                 {}};
}

Status send_step(kernels::Communicator& communicator,
                 StepKind kind,
                 const ForwardRows& rows,
                 const std::vector<std::int64_t>& hidden_rows) {
    std::vector<std::byte> bytes = encode_step(rows, hidden_rows);
    Head head{static_cast<std::uint64_t>(kind), bytes.size()};
    RETURN_IF_ERROR(communicator.broadcast(std::as_writable_bytes(std::span(&head, 1)), 0));
    return communicator.broadcast(bytes, 0);
}

Result<StepMessage> receive_step(kernels::Communicator& communicator) {
    Head head;
    RETURN_IF_ERROR(communicator.broadcast(std::as_writable_bytes(std::span(&head, 1)), 0));
    std::vector<std::byte> bytes(head.num_bytes);
    RETURN_IF_ERROR(communicator.broadcast(bytes, 0));
    return decode_step(static_cast<StepKind>(head.kind), bytes);
}

}  // namespace turnpike::engine
