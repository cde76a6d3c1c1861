// The end of a simulated world's books: each minute in which a replica served is paid, once, and
// nothing else is.
#include "controlplane/store/reconcile.h"
#include "controlplane/store/sqlite.h"
#include "tests/sim/controlplane_world.h"

namespace turnpike::sim {
namespace {

std::string name_of(const std::tuple<std::string, int, std::int64_t>& minute) {
    return "minute " + std::to_string(std::get<2>(minute)) + " of place " +
           std::to_string(std::get<1>(minute)) + " of " + std::get<0>(minute);
}

}  // namespace

void ControlplaneWorld::check_books() {
    std::set<Minute> booked;
    const Status read = store_->read([&](controlplane::Database& database) -> Status {
        controlplane::Statement rows =
            database.prepare("SELECT endpoint, replica_index, minute FROM replica_minutes");
        while (rows.step()) booked.emplace(rows.text(0), rows.small(1), rows.integer(2));
        return rows.status();
    });
    if (!read) fail(read.error().message);
    for (const Minute& minute : booked) {
        if (!may_be_booked_.contains(minute)) fail(name_of(minute) + " was booked for nothing");
    }
    for (const Minute& minute : must_be_booked_) {
        if (!booked.contains(minute)) fail(name_of(minute) + " was not booked");
    }
    counts_.num_minutes += static_cast<std::int64_t>(booked.size());
    const auto books = controlplane::reconcile_books(*store_);
    if (!books) return fail(books.error().message);
    for (const controlplane::Misfit& misfit : books->misfits)
        fail(misfit.check + ": " + misfit.what);
}

}  // namespace turnpike::sim
