// Who may open a store: one process at a time, and the next as soon as the last has let go.
#include "controlplane/store/store.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <thread>

#include "config/base/unique_handle.h"
#include "tests/unit/controlplane/store/store_fixture.h"

namespace turnpike::controlplane {
namespace {

TEST_F(StoreFixture, AnotherOpenerIsRefused) {
    const auto second = Store::open(dir_, clock_, log_);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::kConflict);
    EXPECT_NE(second.error().message.find("in use by another process"), std::string::npos);
}

// As a child of a killed control plane does that has not executed its own program yet.
TEST_F(StoreFixture, ALockThatIsLetGoAtOnceIsWaitedFor) {
    store_.reset();
    UniqueFd held(::open((dir_ + "/lock").c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(held.is_open());
    ASSERT_EQ(::flock(held.get(), LOCK_EX | LOCK_NB), 0);
    std::thread holder([&] {
        ::poll(nullptr, 0, 100);  // so that the first attempts fail
        held.reset();
    });
    EXPECT_TRUE(Store::open(dir_, clock_, log_).has_value());
    holder.join();
}

}  // namespace
}  // namespace turnpike::controlplane
