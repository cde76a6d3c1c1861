#include "controlplane/store/month.h"

#include <chrono>

namespace turnpike::controlplane {

WallTime begin_of_month(const std::string& month, int later) {
    const int year = std::stoi(month.substr(0, 4));
    const auto number = static_cast<unsigned>(std::stoi(month.substr(5)));
    const auto first = std::chrono::year(year) / std::chrono::month(number) / 1;
    return WallTime(std::chrono::sys_days(first + std::chrono::months(later)).time_since_epoch());
}

std::string month_before(WallTime time, int earlier) {
    const WallTime begin = begin_of_month(format_rfc3339(time).substr(0, 7), -earlier);
    return format_rfc3339(begin).substr(0, 7);
}

}  // namespace turnpike::controlplane
