// See synth_values.h.
#include "engine/model/synth_values.h"

#include <cmath>
#include <cstring>
#include <string>

#include "config/base/check.h"
#include "kernels/api/fp8.h"

namespace turnpike::engine {
namespace {

constexpr float kMatrixDeviation = 0.02F;  // the family's initializer_range
constexpr float kLogitDeviation = 2.0F;

// SplitMix64's finaliser: every input bit reaches every output bit.
constexpr std::uint64_t mix(std::uint64_t value) {
    value += 0x9E3779B97F4A7C15U;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31);
}

// MTP layers hold copies of the embedding and the head under names of their own.
std::string canonical_name(const TensorSpec& spec) {
    if (spec.kind == TensorKind::kEmbedding) return "model.embed_tokens.weight";
    if (spec.kind == TensorKind::kHead) return "lm_head.weight";
    if (!spec.is_copy) return spec.name;
    const std::string head = "lm_head.weight";  // as FP8
    return spec.kind == TensorKind::kScale ? scale_name(head) : head;
}

template <class T>
void append(std::vector<std::byte>& bytes, T value) {
    const std::size_t offset = bytes.size();
    bytes.resize(offset + sizeof(T));
    std::memcpy(bytes.data() + offset, &value, sizeof(T));  // little-endian hosts only
}

float matrix_deviation(const SynthContext& context, TensorKind kind) {
    if (kind != TensorKind::kHead) return kMatrixDeviation;
    return kLogitDeviation / std::sqrt(static_cast<float>(context.hidden_size));
}

void append_codes(const SynthStream& stream, std::uint64_t count, std::vector<std::byte>& bytes) {
    // The widest value becomes 448, so no code saturates.
    constexpr float kCodePerDeviation = kernels::kFp8Max / SynthStream::kMaxNormal;
    for (std::uint64_t i = 0; i < count; ++i) {
        append(bytes, kernels::fp8_from_float(stream.normal(i) * kCodePerDeviation));
    }
}

float block_scale(const SynthStream& stream, std::uint64_t block) {
    constexpr float kBase = kMatrixDeviation * SynthStream::kMaxNormal / kernels::kFp8Max;
    const std::uint64_t kind = stream.bits(2 * block) >> 61;  // 0..7
    const float factor = kind == 0 ? 10.0F : kind == 1 ? 0.1F : 1.0F;
    return kBase * factor * (0.75F + 0.5F * stream.uniform(2 * block + 1));
}

void append_scales(const SynthContext& context,
                   const TensorSpec& spec,
                   const SynthStream& stream,
                   std::vector<std::byte>& bytes) {
    const bool has_zero_block = !context.zeroed_tensor.empty() &&
                                spec.name == scale_name(std::string(context.zeroed_tensor));
    for (std::uint64_t block = 0; block < num_elements(spec); ++block) {
        append(bytes, has_zero_block && block == 1 ? 0.0F : block_scale(stream, block));
    }
}

}  // namespace

SynthStream::SynthStream(std::uint64_t seed, std::string_view name) {
    std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
    key_ = mix(mix(seed) ^ hash);
}

std::uint64_t SynthStream::bits(std::uint64_t index) const {
    return mix(key_ ^ mix(index));
}

float SynthStream::uniform(std::uint64_t index) const {
    return static_cast<float>(bits(index) >> 40) * 0x1p-24F;
}

float SynthStream::normal(std::uint64_t index) const {
    const std::uint64_t word = bits(index);
    const auto sum = static_cast<std::int32_t>((word & 0xFFFF) + (word >> 16 & 0xFFFF) +
                                               (word >> 32 & 0xFFFF) + (word >> 48));
    constexpr float kDeviation = 37837.227F;  // sqrt(4 * (65536^2 - 1) / 12)
    return static_cast<float>(sum - 131070) / kDeviation;
}

std::vector<std::byte> synth_tensor(const SynthContext& context, const TensorSpec& spec) {
    const SynthStream stream(context.seed, canonical_name(spec));
    const std::uint64_t count = num_elements(spec);
    std::vector<std::byte> bytes;
    bytes.reserve(count * kernels::dtype_bytes(preferred_dtype(spec.kind)));
    switch (spec.kind) {
        case TensorKind::kEmbedding:
        case TensorKind::kHead:
        case TensorKind::kMatrix: {
            const float deviation = matrix_deviation(context, spec.kind);
            for (std::uint64_t i = 0; i < count; ++i) {
                append(bytes, kernels::bf16_from_float(stream.normal(i) * deviation));
            }
            break;
        }
        case TensorKind::kNorm:
            for (std::uint64_t i = 0; i < count; ++i) {
                append(bytes, kernels::bf16_from_float(0.75F + 0.5F * stream.uniform(i)));
            }
            break;
        case TensorKind::kFp8Matrix:
            append_codes(stream, count, bytes);
            break;
        case TensorKind::kScale:
            append_scales(context, spec, stream, bytes);
            break;
        case TensorKind::kRouterBias:
            for (std::uint64_t i = 0; i < count; ++i) {
                append(bytes, -0.1F + 0.2F * stream.uniform(i));
            }
            break;
    }
    CHECK(bytes.size() == count * kernels::dtype_bytes(preferred_dtype(spec.kind)));
    return bytes;
}

}  // namespace turnpike::engine
