// Which driver, and what it needs to know: the parts of the settings that only drivers look at.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "config/schema/json_settings.h"
#include "controlplane/run/driver.h"
#include "controlplane/serve/settings.h"

namespace turnpike::controlplane {

// Relative to the working directory; an empty path stays empty.
std::string absolute_path(const std::string& path);

std::string_view to_string(DriverKind kind);  // "process", "systemd", "slurm"
Result<DriverKind> parse_driver(std::string_view text);

// Sections "slurm", of the file and of a row of hardware. Relative paths become absolute.
SlurmSettings read_slurm(schema::JsonSettings section);
SlurmHardware read_slurm_hardware(schema::JsonSettings section);

// Whether all that the driver needs is there.
Status check_driver(const ControlplaneSettings& settings);

// Errors as the driver's open(). `on_exit`: soon after a replica ends, where the driver notices.
Result<std::unique_ptr<Driver>> open_driver(const ControlplaneSettings& settings,
                                            std::function<void()> on_exit);

}  // namespace turnpike::controlplane
