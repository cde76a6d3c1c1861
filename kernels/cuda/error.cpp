// See error.h.
#include "kernels/cuda/error.h"

#include <cstdio>
#include <cstdlib>

namespace turnpike::kernels::cuda {

void fail(const char* call, cudaError_t status, const char* file, int line) {
    std::fprintf(
        stderr,
        "level=error event=cuda_failed code=%d name=%s reason=\"%s\" call=\"%s\" at=%s:%d\n",
        static_cast<int>(status), cudaGetErrorName(status), cudaGetErrorString(status), call, file,
        line);
    std::abort();
}

}  // namespace turnpike::kernels::cuda
