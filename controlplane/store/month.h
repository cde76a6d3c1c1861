// Calendar months in UTC, as "2026-11".
#pragma once

#include <string>

#include "config/base/clock.h"

namespace turnpike::controlplane {

// Of a month that is one, the first moment; `later` months on.
WallTime begin_of_month(const std::string& month, int later);
// The month of a moment, `earlier` months back.
std::string month_before(WallTime time, int earlier);

}  // namespace turnpike::controlplane
