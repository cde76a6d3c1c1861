#include "engine/serve/gpu_faults.h"

#include <dlfcn.h>

#include <utility>

namespace turnpike::engine {
namespace {

// The part of nvml.h that is used here; the library keeps its versioned names for good.
struct NvmlDevice;
struct NvmlEventSet;

struct NvmlEvent {
    NvmlDevice* device = nullptr;
    unsigned long long type = 0;
    unsigned long long data = 0;  // of a critical Xid event: the Xid
    unsigned int gpu_instance = 0;
    unsigned int compute_instance = 0;
};

constexpr int kSuccess = 0;
constexpr int kGpuIsLost = 15;
constexpr unsigned long long kXidCriticalError = 0x8;

struct Nvml {
    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    const char* (*error_string)(int) = nullptr;
    int (*find_device)(const char*, NvmlDevice**) = nullptr;
    int (*create_events)(NvmlEventSet**) = nullptr;
    int (*register_events)(NvmlDevice*, unsigned long long, NvmlEventSet*) = nullptr;
    int (*wait_for_event)(NvmlEventSet*, NvmlEvent*, unsigned int) = nullptr;
    int (*free_events)(NvmlEventSet*) = nullptr;
};

Error unavailable(const std::string& what) {
    return {ErrorCode::kUnavailable, "GPU faults cannot be listened for: " + what, {}};
}

// From init() on; gives back what it took.
class NvmlFaults final : public GpuFaults {
  public:
    explicit NvmlFaults(void* library) : library_(library) {}

    NvmlFaults(const NvmlFaults&) = delete;
    NvmlFaults& operator=(const NvmlFaults&) = delete;

    ~NvmlFaults() override {
        if (events_ != nullptr) nvml_.free_events(events_);
        if (has_begun_) nvml_.shutdown();
        dlclose(library_);
    }

    Status begin(const std::string& pci_bus_id) {
        RETURN_IF_ERROR(load("nvmlInit_v2", nvml_.init));
        RETURN_IF_ERROR(load("nvmlShutdown", nvml_.shutdown));
        RETURN_IF_ERROR(load("nvmlErrorString", nvml_.error_string));
        RETURN_IF_ERROR(load("nvmlDeviceGetHandleByPciBusId_v2", nvml_.find_device));
        RETURN_IF_ERROR(load("nvmlEventSetCreate", nvml_.create_events));
        RETURN_IF_ERROR(load("nvmlDeviceRegisterEvents", nvml_.register_events));
        RETURN_IF_ERROR(load("nvmlEventSetWait_v2", nvml_.wait_for_event));
        RETURN_IF_ERROR(load("nvmlEventSetFree", nvml_.free_events));
        RETURN_IF_ERROR(check("nvmlInit_v2", nvml_.init()));
        has_begun_ = true;
        NvmlDevice* device = nullptr;
        RETURN_IF_ERROR(check("GPU " + pci_bus_id, nvml_.find_device(pci_bus_id.c_str(), &device)));
        RETURN_IF_ERROR(check("nvmlEventSetCreate", nvml_.create_events(&events_)));
        name_ = "GPU " + pci_bus_id;
        return check("Xid events of " + name_,
                     nvml_.register_events(device, kXidCriticalError, events_));
    }

    std::optional<std::string> poll() override {
        while (true) {
            NvmlEvent event;
            const int outcome = nvml_.wait_for_event(events_, &event, /*milliseconds=*/0);
            if (outcome == kGpuIsLost) return name_ + " is lost";
            if (outcome != kSuccess) return std::nullopt;  // nothing, or it cannot be told now
            if (event.type != kXidCriticalError) continue;
            if (const auto fault = describe_xid(event.data)) return name_ + ": " + *fault;
        }
    }

  private:
    template <class Function>
    Status load(const char* name, Function*& function) {
        function = reinterpret_cast<Function*>(dlsym(library_, name));
        if (function == nullptr) return unavailable("NVML has no " + std::string(name));
        return {};
    }

    Status check(const std::string& what, int outcome) const {
        if (outcome == kSuccess) return {};
        const char* const text = nvml_.error_string(outcome);
        return unavailable(what + ": " + (text != nullptr ? text : std::to_string(outcome)));
    }

    void* const library_;
    Nvml nvml_;
    bool has_begun_ = false;
    NvmlEventSet* events_ = nullptr;
    std::string name_;
};

}  // namespace

std::optional<std::string> describe_xid(std::uint64_t xid) {
    const auto named = [xid](const char* what) {
        return "Xid " + std::to_string(xid) + ": " + what;
    };
    switch (xid) {
        case 13:   // exception in a kernel
        case 31:   // access to memory that is not the program's
        case 43:   // the program was stopped for its fault
        case 45:   // its work was thrown away
        case 68:   // video decoder
        case 109:  // its time for a context switch was up
            return std::nullopt;
        case 48:
            return named("memory error that cannot be corrected (double bit)");
        case 63:
        case 64:
            return named("rows of memory are being replaced: reset the GPU");
        case 74:
            return named("NVLink error");
        case 79:
            return named("the GPU has fallen off the bus");
        case 94:
        case 95:
            return named("memory error that cannot be corrected: reset the GPU");
        case 119:
        case 120:
            return named("the GPU's system processor does not answer");
        default:
            return named("see NVIDIA's list of Xid errors");
    }
}

Result<std::unique_ptr<GpuFaults>> GpuFaults::open(const std::string& pci_bus_id,
                                                   const std::string& library) {
    void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) return unavailable(dlerror());
    auto faults = std::make_unique<NvmlFaults>(handle);
    RETURN_IF_ERROR(faults->begin(pci_bus_id));
    return std::unique_ptr<GpuFaults>(std::move(faults));
}

}  // namespace turnpike::engine
