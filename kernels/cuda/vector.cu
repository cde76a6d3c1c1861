// See vector.h.
#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/vector.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kThreads = 512;

// A row of a view, in device code.
struct Rows {
    float* data;
    std::int64_t cols;
    std::int64_t stride;

    __device__ float* row(std::int64_t index) const { return data + index * stride; }
};

Rows rows_of(MatrixView view) {
    CHECK(view.dtype == DType::kF32);
    return {static_cast<float*>(view.data), view.cols, view.stride};
}

__global__ void embed_kernel(const std::int32_t* tokens, WeightView table, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const std::int64_t token = tokens[m];
    for (std::int64_t c = threadIdx.x; c < out.cols; c += blockDim.x)
        out.row(m)[c] = weight_value(table, token, c);
}

__global__ void gather_kernel(Rows x, const std::int64_t* rows, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* from = x.row(rows[m]);
    for (std::int64_t c = threadIdx.x; c < out.cols; c += blockDim.x) out.row(m)[c] = from[c];
}

__global__ void silu_mul_kernel(Rows gate, Rows up, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    for (std::int64_t c = threadIdx.x; c < out.cols; c += blockDim.x) {
        const float a = gate.row(m)[c];
        out.row(m)[c] = a / (1.0F + expf(-a)) * up.row(m)[c];
    }
}

__global__ void add_kernel(Rows x, Rows accumulator) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    for (std::int64_t c = threadIdx.x; c < x.cols; c += blockDim.x)
        accumulator.row(m)[c] += x.row(m)[c];
}

__device__ float inverse_rms(const float* row, std::int64_t cols, float epsilon) {
    __shared__ float shared[32];
    float sum = 0.0F;
    for (std::int64_t c = threadIdx.x; c < cols; c += blockDim.x) sum += row[c] * row[c];
    sum = block_sum(sum, shared);
    return 1.0F / sqrtf(sum / static_cast<float>(cols) + epsilon);
}

__global__ void rms_norm_kernel(Rows x, const float* weight, float epsilon, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float inverse = inverse_rms(x.row(m), x.cols, epsilon);
    for (std::int64_t c = threadIdx.x; c < x.cols; c += blockDim.x)
        out.row(m)[c] = x.row(m)[c] * inverse * weight[c];
}

__global__ void quantise_kernel(Rows x, CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* row = x.row(m);
    quantise_row(m, x.cols, coded, [=](std::int64_t c) { return row[c]; });
}

__global__ void rms_norm_quantise_kernel(Rows x,
                                         const float* weight,
                                         float epsilon,
                                         CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* row = x.row(m);
    const float inverse = inverse_rms(row, x.cols, epsilon);
    quantise_row(m, x.cols, coded, [=](std::int64_t c) { return row[c] * inverse * weight[c]; });
}

__global__ void silu_mul_quantise_kernel(Rows gate, Rows up, CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* a = gate.row(m);
    const float* b = up.row(m);
    quantise_row(m, gate.cols, coded,
                 [=](std::int64_t c) { return a[c] / (1.0F + expf(-a[c])) * b[c]; });
}

// A block a row.
Shape shape_of(std::int64_t rows) {
    return {dim3(static_cast<unsigned>(rows)), kThreads, 0};
}

void check_coded(std::int64_t rows, std::int64_t cols, const CodedRows& coded) {
    CHECK(coded.rows == rows && coded.cols == cols);
    CHECK(coded.stride % kFp8Block == 0 && coded.stride >= cols && coded.scale_stride >= rows);
}

bool same_shape(MatrixView a, MatrixView b) {
    return a.rows == b.rows && a.cols == b.cols;
}

}  // namespace

void embed(const std::int32_t* tokens,
           const WeightView& table,
           MatrixView out,
           cudaStream_t stream) {
    CHECK(table.cols == out.cols);
    if (out.rows == 0) return;
    launch(embed_kernel, shape_of(out.rows), stream, tokens, table, rows_of(out));
}

void gather_rows(MatrixView x, const std::int64_t* rows, MatrixView out, cudaStream_t stream) {
    CHECK(x.cols == out.cols);
    if (out.rows == 0) return;
    launch(gather_kernel, shape_of(out.rows), stream, rows_of(x), rows, rows_of(out));
}

void rms_norm(
    MatrixView x, const float* weight, float epsilon, MatrixView out, cudaStream_t stream) {
    CHECK(same_shape(x, out));
    if (out.rows == 0) return;
    launch(rms_norm_kernel, shape_of(x.rows), stream, rows_of(x), weight, epsilon, rows_of(out));
}

void silu_mul(MatrixView gate, MatrixView up, MatrixView out, cudaStream_t stream) {
    CHECK(same_shape(gate, up) && same_shape(gate, out));
    if (out.rows == 0) return;
    launch(silu_mul_kernel, shape_of(out.rows), stream, rows_of(gate), rows_of(up), rows_of(out));
}

void add(MatrixView x, MatrixView accumulator, cudaStream_t stream) {
    CHECK(same_shape(x, accumulator));
    if (x.rows == 0) return;
    launch(add_kernel, shape_of(x.rows), stream, rows_of(x), rows_of(accumulator));
}

void quantise(MatrixView x, const CodedRows& coded, cudaStream_t stream) {
    check_coded(x.rows, x.cols, coded);
    if (x.rows == 0) return;
    launch(quantise_kernel, shape_of(x.rows), stream, rows_of(x), coded);
}

void rms_norm_quantise(
    MatrixView x, const float* weight, float epsilon, const CodedRows& coded, cudaStream_t stream) {
    check_coded(x.rows, x.cols, coded);
    if (x.rows == 0) return;
    launch(rms_norm_quantise_kernel, shape_of(x.rows), stream, rows_of(x), weight, epsilon, coded);
}

void silu_mul_quantise(MatrixView gate,
                       MatrixView up,
                       const CodedRows& coded,
                       cudaStream_t stream) {
    CHECK(same_shape(gate, up));
    check_coded(gate.rows, gate.cols, coded);
    if (gate.rows == 0) return;
    launch(silu_mul_quantise_kernel, shape_of(gate.rows), stream, rows_of(gate), rows_of(up),
           coded);
}

}  // namespace turnpike::kernels::cuda
