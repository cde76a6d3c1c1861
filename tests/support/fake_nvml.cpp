// A library with the names of NVML that engine/serve/gpu_faults.cpp opens: one GPU, and events that
// a test puts in. Built as a file of its own; the test that opens it finds fake_nvml_put() in it.
#include <cstring>
#include <deque>
#include <mutex>

namespace {

struct Event {
    void* device;
    unsigned long long type;
    unsigned long long data;
    unsigned int gpu_instance;
    unsigned int compute_instance;
};

constexpr int kSuccess = 0;
constexpr int kNotFound = 6;
constexpr int kTimeout = 10;
constexpr char kBusId[] = "0000:18:00.0";

std::mutex mutex;
std::deque<unsigned long long> xids;
int lost_code = 0;
int num_open = 0;
int device = 0;
int events = 0;

}  // namespace

extern "C" {

int nvmlInit_v2() {
    const std::lock_guard lock(mutex);
    ++num_open;
    return kSuccess;
}

int nvmlShutdown() {
    const std::lock_guard lock(mutex);
    --num_open;
    return kSuccess;
}

const char* nvmlErrorString(int code) {
    return code == kNotFound ? "Not Found" : "Error";
}

int nvmlDeviceGetHandleByPciBusId_v2(const char* bus_id, void** handle) {
    if (std::strcmp(bus_id, kBusId) != 0) return kNotFound;
    *handle = &device;
    return kSuccess;
}

int nvmlEventSetCreate(void** set) {
    *set = &events;
    return kSuccess;
}

int nvmlDeviceRegisterEvents(void*, unsigned long long, void*) {
    return kSuccess;
}

int nvmlEventSetWait_v2(void*, Event* event, unsigned int) {
    const std::lock_guard lock(mutex);
    if (lost_code != 0) return lost_code;
    if (xids.empty()) return kTimeout;
    *event = {&device, 0x8, xids.front(), 0, 0};
    xids.pop_front();
    return kSuccess;
}

int nvmlEventSetFree(void*) {
    return kSuccess;
}

// For the test.
void fake_nvml_put(unsigned long long xid) {
    const std::lock_guard lock(mutex);
    xids.push_back(xid);
}

void fake_nvml_lose(int code) {
    const std::lock_guard lock(mutex);
    lost_code = code;
}

int fake_nvml_num_open() {
    const std::lock_guard lock(mutex);
    return num_open;
}
}
