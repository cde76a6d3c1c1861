#include "config/base/build_info.h"

namespace turnpike {

void write_build_info(MetricsText& out, std::string_view process, const BuildInfo& build) {
    constexpr std::string_view kName = "turnpike_build_info";
    out.family(kName, "gauge", "1; the labels tell which build this is.");
    out.sample(kName, 1.0,
               metric_label("process", process) + "," + metric_label("version", build.version) +
                   "," + metric_label("commit", build.commit));
}

}  // namespace turnpike
