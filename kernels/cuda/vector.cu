// See vector.h.
#include "config/base/check.h"
#include "kernels/cuda/device/launch.cuh"
#include "kernels/cuda/device/numbers.cuh"
#include "kernels/cuda/error.h"
#include "kernels/cuda/vector.h"

namespace turnpike::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kChunk = 4 * kThreads;  // columns of a block, of ops that take each by itself
constexpr int kMostNormThreads = 1024;
constexpr int kHeld = 8;              // columns of a thread that a norm keeps in registers
constexpr int kQuantisedBlocks = 16;  // of 128 columns, of a block
constexpr int kHeadsPerBlock = 8;

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

// body(c) for the columns of this block's chunk: all loads of a thread are under way at once.
template <class Body>
__device__ void each_column(std::int64_t cols, Body body) {
#pragma unroll
    for (int i = 0; i < kChunk / kThreads; ++i) {
        const std::int64_t c =
            static_cast<std::int64_t>(blockIdx.y) * kChunk + i * kThreads + threadIdx.x;
        if (c < cols) body(c);
    }
}

__global__ void embed_kernel(const std::int32_t* tokens, WeightView table, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const std::int64_t token = tokens[m];
    each_column(out.cols, [&](std::int64_t c) { out.row(m)[c] = weight_value(table, token, c); });
}

__global__ void gather_kernel(Rows x, const std::int64_t* rows, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* from = x.row(rows[m]);
    each_column(out.cols, [&](std::int64_t c) { out.row(m)[c] = from[c]; });
}

__global__ void silu_mul_kernel(Rows gate, Rows up, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    each_column(out.cols, [&](std::int64_t c) {
        const float a = gate.row(m)[c];
        out.row(m)[c] = a / (1.0F + expf(-a)) * up.row(m)[c];
    });
}

__global__ void add_kernel(Rows x, Rows accumulator) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    each_column(x.cols, [&](std::int64_t c) { accumulator.row(m)[c] += x.row(m)[c]; });
}

struct Plain {
    const float* row;

    __device__ float operator()(std::int64_t c) const { return row[c]; }
};

// A row and its norm, the first columns held in registers.
class Normed {
  public:
    // load(c): what column c holds, asked for once; row has it then.
    template <class Load>
    __device__ Normed(const float* row, std::int64_t cols, float epsilon, Load load)
        : row_(row), cols_(cols) {
        __shared__ float shared[32];
        float sum = 0.0F;
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            const std::int64_t c = static_cast<std::int64_t>(i) * blockDim.x + threadIdx.x;
            held_[i] = c < cols ? load(c) : 0.0F;
        }
#pragma unroll
        for (int i = 0; i < kHeld; ++i) sum += held_[i] * held_[i];
        for (std::int64_t c = first_beyond(); c < cols; c += blockDim.x) {
            const float value = load(c);
            sum += value * value;
        }
        sum = block_sum(sum, shared);
        inverse_ = 1.0F / sqrtf(sum / static_cast<float>(cols) + epsilon);
    }

    __device__ Normed(const float* row, std::int64_t cols, float epsilon)
        : Normed(row, cols, epsilon, Plain{row}) {}

    __device__ float inverse() const {
        return inverse_;
    }

    // body(c, normed value) of this thread's columns.
    template <class Body>
    __device__ void each(Body body) const {
#pragma unroll
        for (int i = 0; i < kHeld; ++i) {
            const std::int64_t c = static_cast<std::int64_t>(i) * blockDim.x + threadIdx.x;
            if (c < cols_) body(c, held_[i] * inverse_);
        }
        for (std::int64_t c = first_beyond(); c < cols_; c += blockDim.x)
            body(c, row_[c] * inverse_);
    }

  private:
    __device__ std::int64_t first_beyond() const {
        return static_cast<std::int64_t>(kHeld) * blockDim.x + threadIdx.x;
    }

    const float* row_;
    std::int64_t cols_;
    float held_[kHeld];
    float inverse_;
};

__global__ void __launch_bounds__(kMostNormThreads)
    rms_norm_kernel(Rows x, const float* weight, float epsilon, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const Normed normed(x.row(m), x.cols, epsilon);
    normed.each([&](std::int64_t c, float value) { out.row(m)[c] = value * weight[c]; });
}

__global__ void __launch_bounds__(kMostNormThreads)
    add_norm_kernel(Rows x, Rows accumulator, const float* weight, float epsilon, Rows out) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    float* const sums = accumulator.row(m);
    const float* const more = x.row(m);
    const Normed normed(sums, x.cols, epsilon,
                        [=](std::int64_t c) { return sums[c] = sums[c] + more[c]; });
    normed.each([&](std::int64_t c, float value) { out.row(m)[c] = value * weight[c]; });
}

// A warp a head of a row.
__global__ void rms_norm_heads_kernel(
    Rows x, int num_heads, int width, const float* weight, float epsilon) {
    let_next_begin();
    wait_for_inputs();
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int head = static_cast<int>(blockIdx.x * kHeadsPerBlock + threadIdx.x / 32);
    if (head >= num_heads) return;
    float* const values = x.row(blockIdx.y) + static_cast<std::int64_t>(head) * width;
    float sum = 0.0F;
    for (int c = lane; c < width; c += 32) sum += values[c] * values[c];
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, step);
    const float inverse = 1.0F / sqrtf(sum / static_cast<float>(width) + epsilon);
    for (int c = lane; c < width; c += 32) values[c] = values[c] * inverse * weight[c];
}

// Of this block's chunk of a row.
template <class Value>
__device__ void quantise_chunk(std::int64_t cols, const CodedRows& coded, Value value) {
    const std::int64_t first = static_cast<std::int64_t>(blockIdx.y) * kQuantisedBlocks;
    const std::int64_t end =
        min(first + kQuantisedBlocks, static_cast<std::int64_t>(coded.stride / kFp8Block));
    quantise_blocks(blockIdx.x, cols, coded, first, end, value);
}

__global__ void quantise_kernel(Rows x, CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const float* row = x.row(blockIdx.x);
    quantise_chunk(x.cols, coded, [=](std::int64_t c) { return row[c]; });
}

__global__ void __launch_bounds__(kMostNormThreads)
    rms_norm_quantise_kernel(Rows x, const float* weight, float epsilon, CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const std::int64_t m = blockIdx.x;
    const float* row = x.row(m);
    const float inverse = Normed(row, x.cols, epsilon).inverse();
    quantise_row(m, x.cols, coded, [=](std::int64_t c) { return row[c] * inverse * weight[c]; });
}

__global__ void silu_mul_quantise_kernel(Rows gate, Rows up, CodedRows coded) {
    let_next_begin();
    wait_for_inputs();
    const float* a = gate.row(blockIdx.x);
    const float* b = up.row(blockIdx.x);
    quantise_chunk(gate.cols, coded,
                   [=](std::int64_t c) { return a[c] / (1.0F + expf(-a[c])) * b[c]; });
}

unsigned pieces(std::int64_t count, std::int64_t size) {
    return static_cast<unsigned>((count + size - 1) / size);
}

// A block a row and chunk of its columns.
Shape by_columns(std::int64_t rows, std::int64_t cols) {
    return {dim3(static_cast<unsigned>(rows), pieces(cols, kChunk)), kThreads, 0};
}

// A block a row, with threads enough to hold it.
Shape by_rows(std::int64_t rows, std::int64_t cols) {
    constexpr std::int64_t kFewThreads = 256;
    const bool is_wide = cols > kFewThreads * kHeld;
    return {dim3(static_cast<unsigned>(rows)),
            static_cast<unsigned>(is_wide ? kMostNormThreads : kFewThreads), 0};
}

// A block a row and some blocks of its codes, a warp each.
Shape by_codes(const CodedRows& coded) {
    return {
        dim3(static_cast<unsigned>(coded.rows), pieces(coded.stride / kFp8Block, kQuantisedBlocks)),
        kQuantisedBlocks * 32, 0};
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
    launch(embed_kernel, by_columns(out.rows, out.cols), stream, tokens, table, rows_of(out));
}

void gather_rows(MatrixView x, const std::int64_t* rows, MatrixView out, cudaStream_t stream) {
    CHECK(x.cols == out.cols);
    if (out.rows == 0) return;
    launch(gather_kernel, by_columns(out.rows, out.cols), stream, rows_of(x), rows, rows_of(out));
}

void rms_norm(
    MatrixView x, const float* weight, float epsilon, MatrixView out, cudaStream_t stream) {
    CHECK(same_shape(x, out));
    if (out.rows == 0) return;
    launch(rms_norm_kernel, by_rows(x.rows, x.cols), stream, rows_of(x), weight, epsilon,
           rows_of(out));
}

void add_norm(MatrixView x,
              MatrixView accumulator,
              const float* weight,
              float epsilon,
              MatrixView out,
              cudaStream_t stream) {
    CHECK(same_shape(x, accumulator) && same_shape(x, out));
    if (out.rows == 0) return;
    launch(add_norm_kernel, by_rows(x.rows, x.cols), stream, rows_of(x), rows_of(accumulator),
           weight, epsilon, rows_of(out));
}

void rms_norm_heads(MatrixView x,
                    std::int64_t num_heads,
                    std::int64_t width,
                    const float* weight,
                    float epsilon,
                    cudaStream_t stream) {
    CHECK(x.cols == num_heads * width && x.rows < 65'536);
    if (x.rows == 0) return;
    const dim3 grid(static_cast<unsigned>((num_heads + kHeadsPerBlock - 1) / kHeadsPerBlock),
                    static_cast<unsigned>(x.rows));
    launch(rms_norm_heads_kernel, {grid, kHeadsPerBlock * 32, 0}, stream, rows_of(x),
           static_cast<int>(num_heads), static_cast<int>(width), weight, epsilon);
}

void silu_mul(MatrixView gate, MatrixView up, MatrixView out, cudaStream_t stream) {
    CHECK(same_shape(gate, up) && same_shape(gate, out));
    if (out.rows == 0) return;
    launch(silu_mul_kernel, by_columns(out.rows, out.cols), stream, rows_of(gate), rows_of(up),
           rows_of(out));
}

void add(MatrixView x, MatrixView accumulator, cudaStream_t stream) {
    CHECK(same_shape(x, accumulator));
    if (x.rows == 0) return;
    launch(add_kernel, by_columns(x.rows, x.cols), stream, rows_of(x), rows_of(accumulator));
}

void quantise(MatrixView x, const CodedRows& coded, cudaStream_t stream) {
    check_coded(x.rows, x.cols, coded);
    if (x.rows == 0) return;
    launch(quantise_kernel, by_codes(coded), stream, rows_of(x), coded);
}

void rms_norm_quantise(
    MatrixView x, const float* weight, float epsilon, const CodedRows& coded, cudaStream_t stream) {
    check_coded(x.rows, x.cols, coded);
    if (x.rows == 0) return;
    launch(rms_norm_quantise_kernel, by_rows(x.rows, x.cols), stream, rows_of(x), weight, epsilon,
           coded);
}

void silu_mul_quantise(MatrixView gate,
                       MatrixView up,
                       const CodedRows& coded,
                       cudaStream_t stream) {
    CHECK(same_shape(gate, up));
    check_coded(gate.rows, gate.cols, coded);
    if (gate.rows == 0) return;
    launch(silu_mul_quantise_kernel, by_codes(coded), stream, rows_of(gate), rows_of(up), coded);
}

}  // namespace turnpike::kernels::cuda
