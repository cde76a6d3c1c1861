// Connections that never wait, driven by poll() here; TLS is in the component test of turnpike
// bench.
#include "config/net/client_dialer.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <array>
#include <thread>

#include "tests/unit/config/net/listener.h"
#include "tests/unit/config/net/server_fixture.h"

namespace turnpike::net {
namespace {

HttpClientOptions options_of(const NetAddress& address) {
    HttpClientOptions options;
    options.address = address;
    return options;
}

void wait_for(const DialedStream& stream, IoNeed need) {
    pollfd fd{stream.fd(), static_cast<short>(need == IoNeed::kReadable ? POLLIN : POLLOUT), 0};
    ASSERT_EQ(::poll(&fd, 1, 10'000), 1);
}

void open(DialedStream& stream) {
    for (;;) {
        const IoNeed need = stream.open().value();
        if (need == IoNeed::kNone) return;
        wait_for(stream, need);
    }
}

// Reads until the peer closes.
std::string read_to_end(DialedStream& stream) {
    std::string text;
    std::array<char, 8> buffer{};
    for (;;) {
        const IoProgress progress = stream.read(buffer).value();
        text.append(buffer.data(), progress.num_bytes);
        if (progress.is_end) return text;
        if (progress.need != IoNeed::kNone) wait_for(stream, progress.need);
    }
}

TEST(ClientDialer, TalksWithoutWaiting) {
    const Listener listener;
    std::string seen;
    std::thread server([&] {
        listener.accept();  // the dialer's own
        const UniqueFd fd = listener.accept();
        seen = read_until(fd, "?");
        send_text(fd, "a longer text than one read takes");
    });
    const auto dialer = ClientDialer::make(options_of(listener.address())).value();
    DialedStream stream = dialer.dial().value();
    open(stream);
    std::array<char, 8> buffer{};
    EXPECT_EQ(stream.read(buffer).value().need, IoNeed::kReadable);  // nothing yet
    EXPECT_EQ(stream.write("how?").value().num_bytes, 4U);
    EXPECT_EQ(read_to_end(stream), "a longer text than one read takes");
    server.join();
    EXPECT_EQ(seen, "how?");
}

TEST(ClientDialer, WritesUntilNothingFits) {
    const Listener listener;
    UniqueFd peer;
    std::thread server([&] {
        listener.accept();
        peer = listener.accept();  // and does not read
    });
    const auto dialer = ClientDialer::make(options_of(listener.address())).value();
    DialedStream stream = dialer.dial().value();
    open(stream);
    server.join();
    const std::string bytes(1 << 20, 'x');
    IoProgress progress;
    for (int i = 0; i < 1000 && progress.need == IoNeed::kNone; ++i)
        progress = stream.write(bytes).value();
    EXPECT_EQ(progress.need, IoNeed::kWritable);
}

TEST(ClientDialer, TellsAtOnceThatNobodyIsThere) {
    Listener listener;
    const NetAddress address = listener.address();
    listener.close();
    EXPECT_FALSE(ClientDialer::make(options_of(address)));
    EXPECT_FALSE(ClientDialer::make(options_of({"", "nobody.invalid", 1})));
    EXPECT_FALSE(ClientDialer::make(options_of({"/nowhere/s", "", 0})));
}

TEST(ClientDialer, AServerThatHasGoneSince) {
    Listener listener;
    const auto dialer = ClientDialer::make(options_of(listener.address())).value();
    listener.close();
    auto stream = dialer.dial();
    if (!stream) return;  // refused at once
    auto need = stream->open();
    while (need && *need != IoNeed::kNone) {
        wait_for(*stream, *need);
        need = stream->open();
    }
    ASSERT_FALSE(need);
    EXPECT_EQ(need.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace turnpike::net
