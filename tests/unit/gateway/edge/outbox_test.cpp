// The outbox: what survives, what is delivered, what a full disk does.
#include "gateway/edge/outbox.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>

#include "gateway/edge/files.h"
#include "gateway/edge/outbox_reader.h"
#include "tests/support/random.h"
#include "tests/support/temp_dir.h"

namespace turnpike::gateway {
namespace {

using controlplane::UsageRecord;

class OutboxTest : public testing::Test {
  protected:
    std::unique_ptr<Outbox> open(std::size_t segment_bytes = 1024) {
        OutboxOptions options;
        options.dir = dir_.file("outbox");
        options.segment_bytes = segment_bytes;
        options.ops = ops_;
        auto outbox = Outbox::open(std::move(options), clock_, log_);
        EXPECT_TRUE(outbox.has_value()) << outbox.error().message;
        return outbox ? std::move(*outbox) : nullptr;
    }

    static UsageRecord record(int number) {
        UsageRecord record;
        record.request_id = RequestId("request-" + std::to_string(number));
        record.model = "tiny";
        record.usage.prompt_tokens = number;
        return record;
    }

    static Status open_request(Outbox& outbox, int number) {
        return outbox.append_opened(OpenedEntry{record(number), "unix:/r"});
    }

    static void add(Outbox& outbox, int number) {
        ASSERT_TRUE(open_request(outbox, number).has_value());
        ASSERT_TRUE(outbox.append_closed(record(number)).has_value());
    }

    static std::vector<TokenCount> read_all(OutboxReader& reader, std::size_t batch_size) {
        std::vector<TokenCount> numbers;
        for (;;) {
            const auto batch = reader.read_batch(batch_size);
            EXPECT_TRUE(batch.has_value());
            if (!batch || batch->records.empty()) return numbers;
            for (const UsageRecord& each : batch->records) {
                numbers.push_back(each.usage.prompt_tokens);
            }
            EXPECT_TRUE(reader.acknowledge().has_value());
        }
    }

    std::size_t num_segments() const { return list_segments(dir_.file("outbox")).value().size(); }

    test::TempDir dir_;
    SystemClock clock_;
    Log log_{clock_, "test", LogLevel::kError};
    FileOps ops_ = FileOps::system();
};

TEST_F(OutboxTest, DeliversInOrderAcrossSegmentsAndDeletesThem) {
    const auto outbox = open();
    std::vector<TokenCount> expected;
    for (int i = 0; i < 50; ++i) {
        add(*outbox, i);
        expected.push_back(i);
    }
    EXPECT_GT(num_segments(), 5U);
    auto reader = OutboxReader::open(*outbox).value();
    EXPECT_EQ(read_all(reader, 7), expected);
    EXPECT_TRUE(reader.is_drained());
    EXPECT_EQ(num_segments(), 1U);
}

TEST_F(OutboxTest, UnacknowledgedBatchesComeAgainAlsoAfterARestart) {
    std::string id;
    {
        const auto outbox = open();
        id = outbox->id();
        for (int i = 0; i < 10; ++i) add(*outbox, i);
        auto reader = OutboxReader::open(*outbox).value();
        EXPECT_EQ(reader.read_batch(4)->first_sequence, 1);
        EXPECT_TRUE(reader.acknowledge().has_value());
        EXPECT_EQ(reader.read_batch(4)->first_sequence, 5);
        EXPECT_EQ(reader.read_batch(4)->first_sequence, 5);
    }
    const auto outbox = open();
    EXPECT_EQ(outbox->id(), id);
    add(*outbox, 10);
    auto reader = OutboxReader::open(*outbox).value();
    const auto batch = reader.read_batch(100);
    EXPECT_EQ(batch->first_sequence, 5);
    EXPECT_EQ(batch->records.size(), 7U);
    EXPECT_EQ(outbox->next_sequence(), 12);
}

TEST_F(OutboxTest, SequencesGoOnWhenAllSegmentsAreGone) {
    {
        const auto outbox = open();
        for (int i = 0; i < 3; ++i) add(*outbox, i);
        auto reader = OutboxReader::open(*outbox).value();
        EXPECT_EQ(read_all(reader, 100).size(), 3U);
    }
    const auto numbers = list_segments(dir_.file("outbox")).value();
    for (const auto number : numbers) {
        std::filesystem::remove(segment_path(dir_.file("outbox"), number));
    }
    const auto outbox = open();
    EXPECT_EQ(outbox->next_sequence(), 4);
}

TEST_F(OutboxTest, OrphansKeepTheirSegmentUntilTheyAreClosed) {
    {
        const auto outbox = open();
        ASSERT_TRUE(open_request(*outbox, 1000).has_value());
        for (int i = 0; i < 30; ++i) add(*outbox, i);
    }
    const auto outbox = open();
    auto reader = OutboxReader::open(*outbox).value();
    EXPECT_EQ(read_all(reader, 100).size(), 30U);
    EXPECT_EQ(num_segments(), 2U);
    const auto orphans = outbox->take_orphans();
    ASSERT_EQ(orphans.size(), 1U);
    EXPECT_EQ(orphans[0].record.request_id.value(), "request-1000");
    EXPECT_EQ(orphans[0].address, "unix:/r");
    EXPECT_TRUE(outbox->take_orphans().empty());
    ASSERT_TRUE(outbox->append_closed(orphans[0].record).has_value());
    EXPECT_EQ(read_all(reader, 100), std::vector<TokenCount>{1000});
    EXPECT_EQ(num_segments(), 1U);
    EXPECT_EQ(outbox->num_open(), 0U);
}

// A crash may leave any prefix of the last segment.
TEST_F(OutboxTest, TornTailsAreCutAtEveryByte) {
    std::string whole;
    {
        const auto outbox = open(1024 * 1024);
        for (int i = 0; i < 4; ++i) add(*outbox, i);
        ASSERT_TRUE(open_request(*outbox, 4).has_value());
    }
    const std::string path = segment_path(dir_.file("outbox"), 1);
    whole = read_file(path).value();
    const std::size_t opened_bytes = encode(OpenedEntry{record(0), "unix:/r"}).size();
    const std::size_t closed_bytes = encode(ClosedEntry{1, record(0)}).size();
    for (std::size_t length = 0; length <= whole.size(); ++length) {
        std::filesystem::remove_all(dir_.file("outbox"));
        std::filesystem::create_directory(dir_.file("outbox"));
        std::ofstream(path, std::ios::binary) << whole.substr(0, length);
        const auto scan = scan_outbox(dir_.file("outbox"), log_);
        ASSERT_TRUE(scan.has_value());
        const std::size_t num_pairs = length / (opened_bytes + closed_bytes);
        const bool has_orphan = length % (opened_bytes + closed_bytes) >= opened_bytes;
        EXPECT_EQ(scan->next_sequence, static_cast<std::int64_t>(num_pairs) + 1) << length;
        EXPECT_EQ(scan->orphans.size(), has_orphan ? 1U : 0U) << length;
        EXPECT_EQ(std::filesystem::file_size(path), scan->segment_end.at(1));
    }
}

TEST_F(OutboxTest, DamageBeforeTheLastSegmentIsRefused) {
    {
        const auto outbox = open();
        for (int i = 0; i < 20; ++i) add(*outbox, i);
    }
    std::fstream file(segment_path(dir_.file("outbox"), 1), std::ios::in | std::ios::out);
    file.seekp(100);
    file.put('\xff');
    file.close();
    const auto scan = scan_outbox(dir_.file("outbox"), log_);
    ASSERT_FALSE(scan.has_value());
    EXPECT_EQ(scan.error().code, ErrorCode::kCorrupt);
}

TEST_F(OutboxTest, UnreadableCursorDeliversAgain) {
    {
        const auto outbox = open();
        for (int i = 0; i < 3; ++i) add(*outbox, i);
        auto reader = OutboxReader::open(*outbox).value();
        EXPECT_EQ(reader.read_batch(2)->records.size(), 2U);
        EXPECT_TRUE(reader.acknowledge().has_value());
    }
    // "-1" as a size would lie beyond every segment, and what lies before it would never be sent.
    for (const char* text : {"nonsense", "1 1 -1", "-1 1 0", "1 -1 0"}) {
        std::ofstream(dir_.file("outbox") + "/cursor") << text;
        const auto outbox = open();
        auto reader = OutboxReader::open(*outbox).value();
        EXPECT_EQ(reader.read_batch(100)->records.size(), 3U) << text;
    }
}

TEST_F(OutboxTest, FullDiskRefusesToOpenButNeverToClose) {
    auto room = std::make_shared<std::atomic<long>>(1);  // megabytes that may be reserved
    ops_.reserve = [room](int, off_t, off_t) {
        if (room->fetch_sub(1) > 0) return 0;
        errno = ENOSPC;
        return -1;
    };
    const auto outbox = open(64 * 1024 * 1024);
    int num_open = 0;
    while (open_request(*outbox, num_open)) ++num_open;
    EXPECT_GT(num_open, 1000);
    for (int i = 0; i < num_open; ++i) {
        ASSERT_TRUE(outbox->append_closed(record(i)).has_value()) << i;
    }
    const auto segment = outbox->segment_from(0);
    EXPECT_LE(segment.end, 1024U * 1024);  // all of it was reserved beforehand
}

TEST_F(OutboxTest, HalfAWriteLeavesNoTrace) {
    auto limit = std::make_shared<std::atomic<bool>>(false);
    ops_.write = [limit](int fd, const void* bytes, std::size_t size) {
        return ::write(fd, bytes, *limit ? size / 2 : size);
    };
    const auto outbox = open();
    add(*outbox, 0);
    *limit = true;
    EXPECT_FALSE(open_request(*outbox, 1).has_value());
    *limit = false;
    add(*outbox, 2);
    auto reader = OutboxReader::open(*outbox).value();
    EXPECT_EQ(read_all(reader, 10), (std::vector<TokenCount>{0, 2}));
}

TEST_F(OutboxTest, FailedCloseIsWrittenLater) {
    auto is_failing = std::make_shared<std::atomic<bool>>(false);
    ops_.write = [is_failing](int fd, const void* bytes, std::size_t size) -> ssize_t {
        if (!*is_failing) return ::write(fd, bytes, size);
        errno = EIO;
        return -1;
    };
    const auto outbox = open();
    ASSERT_TRUE(open_request(*outbox, 1).has_value());
    *is_failing = true;
    ASSERT_FALSE(outbox->append_closed(record(1)).has_value());
    outbox->close_later(record(1));
    *is_failing = false;
    EXPECT_TRUE(outbox->wait_for_closed(1, std::chrono::seconds(20)));
    EXPECT_EQ(outbox->num_open(), 0U);
}

TEST_F(OutboxTest, WaitersHearOfTheDisk) {
    const auto outbox = open();
    ASSERT_TRUE(open_request(*outbox, 1).has_value());
    const auto position = outbox->append_closed(record(1));
    std::promise<bool> durable;
    outbox->when_durable(*position, [&](bool is_durable) { durable.set_value(is_durable); });
    EXPECT_TRUE(durable.get_future().get());
}

TEST_F(OutboxTest, FailedFlushStopsAdmission) {
    ops_.sync = [](int) {
        errno = EIO;
        return -1;
    };
    Log silent(clock_, "test", static_cast<LogLevel>(9));
    OutboxOptions options;
    options.dir = dir_.file("outbox");
    options.ops = ops_;
    const auto outbox = std::move(*Outbox::open(std::move(options), clock_, silent));
    ASSERT_TRUE(open_request(*outbox, 1).has_value());
    const auto position = outbox->append_closed(record(1));
    std::promise<bool> durable;
    outbox->when_durable(*position, [&](bool is_durable) { durable.set_value(is_durable); });
    EXPECT_FALSE(durable.get_future().get());
    EXPECT_FALSE(open_request(*outbox, 2).has_value());
}

// Random opens, closes, deliveries and restarts: every request is delivered or an orphan, once.
TEST_F(OutboxTest, NothingIsLostOrRepeatedOverRestarts) {
    test::SeededRandom random(42);
    SCOPED_TRACE(random.replay());
    std::set<int> still_open;
    std::multiset<TokenCount> delivered;
    std::multiset<TokenCount> closed;
    int next = 0;
    for (int run = 0; run < 12; ++run) {
        const auto outbox = open();
        std::set<int> orphans;
        for (const OpenedEntry& orphan : outbox->take_orphans()) {
            orphans.insert(static_cast<int>(orphan.record.usage.prompt_tokens));
        }
        ASSERT_EQ(orphans, still_open);
        auto reader = OutboxReader::open(*outbox).value();
        for (int step = 0; step < 40; ++step) {
            const auto dice = random.between(0, 9);
            if (dice < 5) {
                ASSERT_TRUE(open_request(*outbox, next).has_value());
                still_open.insert(next++);
            } else if (dice < 9 && !still_open.empty()) {
                const int number = *still_open.begin();
                ASSERT_TRUE(outbox->append_closed(record(number)).has_value());
                still_open.erase(number);
                closed.insert(number);
            } else if (dice == 9) {
                const auto batch = reader.read_batch(3);
                ASSERT_TRUE(batch.has_value());
                for (const UsageRecord& each : batch->records) {
                    delivered.insert(each.usage.prompt_tokens);
                }
                ASSERT_TRUE(reader.acknowledge().has_value());
            }
        }
    }
    const auto outbox = open();
    auto reader = OutboxReader::open(*outbox).value();
    for (const TokenCount number : read_all(reader, 100)) delivered.insert(number);
    EXPECT_EQ(delivered, closed);
}

}  // namespace
}  // namespace turnpike::gateway
