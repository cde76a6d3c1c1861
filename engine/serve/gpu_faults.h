// GpuFaults: what the driver reports of the GPU that an engine serves on: critical Xid events, by
// NVML (the NVIDIA Management Library), whose library comes with the driver and is opened at run
// time. Some of these faults leave a kernel waiting for ever, which a watchdog would see minutes
// later and without the reason.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "config/base/result.h"

namespace turnpike::engine {

// What an Xid says of the GPU, when it is of no use to any process any more. None for what a
// program did to itself (13, 31, 43, 45, 68, 109): its CUDA calls fail, which ends it with their
// reason. Source: NVIDIA's "Xid Errors"; the same six are left out by its Kubernetes device plugin.
std::optional<std::string> describe_xid(std::uint64_t xid);

class GpuFaults {
  public:
    // Listens from now on. `pci_bus_id`: as CUDA tells it, "0000:18:00.0". `library`: NVML's file.
    // Errors: kUnavailable where there is no such library or driver, the GPU is not found, or it
    // reports no events, as virtual GPUs do not.
    static Result<std::unique_ptr<GpuFaults>> open(
        const std::string& pci_bus_id, const std::string& library = "libnvidia-ml.so.1");

    virtual ~GpuFaults() = default;

    // What has gone wrong since the last call, if anything. Does not wait. One thread.
    virtual std::optional<std::string> poll() = 0;
};

}  // namespace turnpike::engine
