// See last_input.h. Everything that a handler needs is prepared beforehand: it may run on a broken
// heap or an exhausted stack, so it only writes bytes.
#include "tests/fuzz/last_input.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "config/base/check.h"
#include "tests/fuzz/target.h"

// A sanitizer's report shall end in SIGABRT, as everything else does that a target dies of.
extern "C" const char* __asan_default_options() {  // NOLINT(bugprone-reserved-identifier)
    return "abort_on_error=1";
}

extern "C" const char* __ubsan_default_options() {  // NOLINT(bugprone-reserved-identifier)
    return "abort_on_error=1:print_stacktrace=1";
}

namespace turnpike::fuzz {
namespace {

constexpr long kMaxInputSeconds = 20;

// A sanitizer tells more of a broken access than a handler can, and aborts then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::array kSignals{SIGABRT, SIGVTALRM};
#else
constexpr std::array kSignals{SIGABRT, SIGVTALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#endif

struct Failure {
    std::string path;
    std::string advice;
    std::string_view input;
    bool is_running = false;
};

Failure& failure() {
    static Failure instance;
    return instance;
}

void write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

void save() {
    Failure& current = failure();
    if (!current.is_running) return;
    current.is_running = false;
    const int fd = ::open(current.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0) {
        write_all(fd, current.input);
        ::close(fd);
    }
    write_all(STDERR_FILENO, current.advice);
}

void on_signal(int number) {
    if (number == SIGVTALRM) write_all(STDERR_FILENO, "an input takes too long\n");
    save();
    ::signal(number, SIG_DFL);
    ::raise(number);
}

// A stack of its own, so that an exhausted one can be reported.
void catch_signals() {
    static std::array<char, 64 * 1024> stack;
    stack_t alternative{};
    alternative.ss_sp = stack.data();
    alternative.ss_size = stack.size();
    CHECK(::sigaltstack(&alternative, nullptr) == 0);

    struct sigaction action {};

    action.sa_handler = on_signal;
    action.sa_flags = SA_ONSTACK;
    for (const int number : kSignals) {
        CHECK(::sigaction(number, &action, nullptr) == 0);
    }
}

// Processor time, which a busy machine does not use up.
void set_timer(long seconds) {
    itimerval timer{};
    timer.it_value.tv_sec = seconds;
    CHECK(::setitimer(ITIMER_VIRTUAL, &timer, nullptr) == 0);
}

}  // namespace

void save_failures(const std::string& program,
                   const std::string& target,
                   const std::string& dir,
                   std::uint64_t seed) {
    Failure& current = failure();
    current.path = dir + "/" + target + "-" + std::to_string(seed);
    current.advice =
        "\nthe failing input is saved; repeat it alone with\n  " + program + " " + current.path +
        "\nor with all inputs before it with\n  TURNPIKE_TEST_SEED=" + std::to_string(seed) +
        " <the command of this test>\n";
    catch_signals();
}

void run_input(std::string_view input) {
    // A copy of exactly this size on the heap: a sanitizer sees a read past its end.
    const auto copy = std::make_unique<std::uint8_t[]>(input.size());
    std::copy(input.begin(), input.end(), copy.get());
    Failure& current = failure();
    current.input = input;
    current.is_running = true;
    set_timer(kMaxInputSeconds);
    CHECK(LLVMFuzzerTestOneInput(copy.get(), input.size()) == 0);
    current.is_running = false;
}

}  // namespace turnpike::fuzz
