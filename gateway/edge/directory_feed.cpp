#include "gateway/edge/directory_feed.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "config/base/limits.h"
#include "gateway/edge/controlplane_wire.h"
#include "gateway/edge/files.h"

namespace turnpike::gateway {
namespace {

constexpr auto kFirstRetry = std::chrono::milliseconds(50);
constexpr auto kLastRetry = std::chrono::milliseconds(2000);

net::HttpClientOptions client_options(const net::NetAddress& address) {
    net::HttpClientOptions options;
    options.address = address;
    options.timeout = limits::kSnapshotPollTimeout + std::chrono::seconds(10);
    return options;
}

// The file's modification time is the last contact with the control plane: an unchanged state is
// confirmed by touching the file.
Status touch(const std::string& path, WallTime now) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
    const auto fraction = std::chrono::duration_cast<std::chrono::nanoseconds>(now - seconds);
    timespec when{};
    when.tv_sec = static_cast<time_t>(seconds.time_since_epoch().count());
    when.tv_nsec = static_cast<long>(fraction.count());
    const timespec times[2] = {when, when};
    if (::utimensat(AT_FDCWD, path.c_str(), times, 0) != 0)
        return errno_error("cannot touch " + path);
    return {};
}

Result<WallTime> modification_time(const std::string& path) {
    struct stat info {};

    if (::stat(path.c_str(), &info) != 0) return errno_error("cannot read " + path);
    return from_unix_us(std::int64_t{info.st_mtim.tv_sec} * 1'000'000 +
                        info.st_mtim.tv_nsec / 1000);
}

}  // namespace

void DirectoryHolder::set(Shared directory, WallTime contact) {
    set_contact(contact);
    std::vector<std::function<void()>> waiting;
    {
        const std::lock_guard lock(mutex_);
        directory_ = std::move(directory);
        version_.fetch_add(1, std::memory_order_release);
        waiting.swap(waiting_);
    }
    for (const auto& report : waiting) report();
}

void DirectoryHolder::when_changed(std::uint64_t version, std::function<void()> report) const {
    {
        const std::lock_guard lock(mutex_);
        if (version_.load(std::memory_order_relaxed) == version) {
            waiting_.push_back(std::move(report));
            return;
        }
    }
    report();
}

void DirectoryHolder::set_contact(WallTime contact) {
    contact_unix_us_ = to_unix_us(contact);
}

DirectoryHolder::Shared DirectoryHolder::get() const {
    const std::lock_guard lock(mutex_);
    return directory_;
}

WallTime DirectoryHolder::contact() const {
    return from_unix_us(contact_unix_us_.load());
}

bool DirectoryReader::is_stale(WallTime now) const {
    return now - holder_.contact() > limits::kSnapshotStaleRefuse;
}

DirectoryFeed::DirectoryFeed(DirectoryHolder& holder,
                             std::string snapshot_file,
                             std::string writer,
                             const net::NetAddress& controlplane,
                             const Clock& clock,
                             Log& log)
    : holder_(holder),
      snapshot_file_(std::move(snapshot_file)),
      writer_(std::move(writer)),
      client_(client_options(controlplane)),
      clock_(clock),
      log_(log) {
    load_file();
    thread_ = std::thread([this] { run(); });
}

DirectoryFeed::~DirectoryFeed() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
    }
    stop_.notify_all();
    client_.cancel();
    thread_.join();
}

void DirectoryFeed::load_file() {
    const auto text = read_file(snapshot_file_);
    if (!text && text.error().code == ErrorCode::kNotFound) return;
    const auto contact = modification_time(snapshot_file_);
    auto snapshot = text ? controlplane::parse_snapshot(*text) : text.error();
    auto directory = snapshot ? Directory().apply(*snapshot) : snapshot.error();
    if (!directory || !contact) {
        const Error& error = directory ? contact.error() : directory.error();
        log_.error("snapshot_file_ignored", {{"file", snapshot_file_}, {"reason", error.message}});
        return;
    }
    const std::int64_t revision = directory->revision();
    holder_.set(std::make_shared<const Directory>(std::move(*directory)), *contact);
    log_.info("snapshot_loaded", {{"file", snapshot_file_}, {"revision", revision}});
}

void DirectoryFeed::sleep(std::chrono::milliseconds duration) {
    std::unique_lock lock(mutex_);
    stop_.wait_for(lock, duration, [this] { return is_stopping_.load(); });
}

void DirectoryFeed::run() {
    auto delay = kFirstRetry;
    bool was_failing = false;
    while (!is_stopping_) {
        const Status status = poll();
        if (is_stopping_) break;
        if (status) {
            if (std::exchange(was_failing, false)) log_.info("snapshot_poll_resumed");
            delay = kFirstRetry;
            has_warned_ = false;
            continue;
        }
        if (!std::exchange(was_failing, true)) {
            log_.warning("snapshot_poll_failed", {{"reason", status.error().message}});
        }
        warn_when_stale();
        sleep(delay);
        delay = std::min(delay * 2, kLastRetry);
    }
}

Status DirectoryFeed::poll() {
    const auto directory = holder_.get();
    net::HttpRequest request;
    request.method = "GET";
    request.target = "/internal/v1/snapshot?store=";
    // A full snapshot is answered at once: after a long silence that is how contact is proven,
    // instead of by waiting for a change.
    const bool is_old = clock_.wall_now() - holder_.contact() > limits::kSnapshotStaleAlert;
    const bool is_partial = directory != nullptr && !wants_full_ && !is_old;
    // Store ids are ULIDs and need no escaping.
    if (is_partial) request.target += directory->store_id();
    request.target += "&after=" + std::to_string(is_partial ? directory->revision() : 0);
    const auto response = call_controlplane(client_, request);
    RETURN_IF_ERROR(response);
    if (response->status != 200) {
        return Error{ErrorCode::kIo,
                     "the control plane answered " + std::to_string(response->status) +
                         " to a request for the snapshot",
                     {}};
    }
    return take(response->body);
}

Status DirectoryFeed::take(const std::string& body) {
    const auto delta = controlplane::parse_snapshot(body);
    RETURN_IF_ERROR(delta);
    const auto current = holder_.get();
    const WallTime now = clock_.wall_now();
    const bool is_unchanged = current != nullptr && !delta->is_full &&
                              delta->store_id == current->store_id() &&
                              delta->revision == current->revision();
    if (is_unchanged) {
        holder_.set_contact(now);
        return touch(snapshot_file_, now);
    }
    auto next = (current != nullptr ? *current : Directory()).apply(*delta);
    wants_full_ = !next && next.error().code == ErrorCode::kConflict;
    RETURN_IF_ERROR(next);
    const auto shared = std::make_shared<const Directory>(std::move(*next));
    holder_.set(shared, now);
    log_.info("snapshot_applied", {{"revision", shared->revision()}, {"full", delta->is_full}});
    RETURN_IF_ERROR(replace_file(snapshot_file_, write_snapshot(shared->to_snapshot()), writer_));
    return touch(snapshot_file_, now);
}

void DirectoryFeed::warn_when_stale() {
    const auto age = clock_.wall_now() - holder_.contact();
    if (holder_.get() == nullptr || age < limits::kSnapshotStaleAlert) return;
    if (std::exchange(has_warned_, true)) return;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age);
    log_.error("snapshot_stale", {{"age_s", seconds.count()}});
}

}  // namespace turnpike::gateway
