// WatchingBackend: a backend that passes every op on and notes what enters each layer and what each
// router chose. A weight is known by the name it was prepared under, so a model's forward pass can
// be looked into without a word about it in the model.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/api/backend.h"

namespace turnpike::kernels {

class WatchingBackend final : public Backend {
  public:
    // Values of the matrix that a norm reads: [rows, cols], under the norm's weight's name.
    std::map<std::string, std::vector<float>> norm_inputs;
    // What was chosen, under the name of the router's bias.
    std::map<std::string, Routing> routings;

    explicit WatchingBackend(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}

    std::string_view name() const override { return inner_->name(); }

    DType activation_dtype() const override { return inner_->activation_dtype(); }

    OpCounts counts() const override { return inner_->counts(); }

    std::unique_ptr<Buffer> allocate(std::size_t num_bytes) override {
        return inner_->allocate(num_bytes);
    }

    void download(MatrixView matrix, std::span<float> out) override {
        inner_->download(matrix, out);
    }

    Result<std::unique_ptr<PreparedWeight>> prepare(const WeightSource& source) override {
        auto weight = inner_->prepare(source);
        if (weight) names_[weight->get()] = source.name;
        return weight;
    }

    Result<std::unique_ptr<PreparedWeight>> prepare_kv_up(const WeightSource& source,
                                                          const MlaShape& shape) override {
        return inner_->prepare_kv_up(source, shape);
    }

    std::unique_ptr<KvCache> make_kv_cache(const KvCacheShape& shape) override {
        return inner_->make_kv_cache(shape);
    }

    void embed(std::span<const std::int32_t> tokens,
               const PreparedWeight& table,
               MatrixView out) override {
        inner_->embed(tokens, table, out);
    }

    void gather_rows(MatrixView x, std::span<const std::int64_t> rows, MatrixView out) override {
        inner_->gather_rows(x, rows, out);
    }

    void rms_norm(MatrixView x,
                  const PreparedWeight& weight,
                  float epsilon,
                  MatrixView out) override {
        std::vector<float>& values = norm_inputs[names_.at(&weight)];
        values.resize(static_cast<std::size_t>(x.rows * x.cols));
        inner_->download(x, values);
        inner_->rms_norm(x, weight, epsilon, out);
    }

    void linear(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        inner_->linear(x, weight, out);
    }

    void linear_split_k(MatrixView x, const PreparedWeight& weight, MatrixView out) override {
        inner_->linear_split_k(x, weight, out);
    }

    void silu_mul(MatrixView gate, MatrixView up, MatrixView out) override {
        inner_->silu_mul(gate, up, out);
    }

    void add(MatrixView x, MatrixView accumulator) override { inner_->add(x, accumulator); }

    void rope(MatrixView x, const RopeColumns& columns, const RopeRows& rows) override {
        inner_->rope(x, columns, rows);
    }

    void write_kv(MatrixView rows,
                  std::span<const AttentionSlice> slices,
                  std::int64_t layer,
                  KvCache& cache) override {
        inner_->write_kv(rows, slices, layer, cache);
    }

    void attend_naive(MatrixView queries,
                      std::span<const AttentionSlice> slices,
                      const PreparedWeight& kv_up,
                      const MlaShape& shape,
                      std::int64_t layer,
                      const KvCache& cache,
                      MatrixView out) override {
        inner_->attend_naive(queries, slices, kv_up, shape, layer, cache, out);
    }

    void attend_absorbed(MatrixView queries,
                         std::span<const AttentionSlice> slices,
                         const PreparedWeight& kv_up,
                         const MlaShape& shape,
                         std::int64_t layer,
                         const KvCache& cache,
                         MatrixView out) override {
        inner_->attend_absorbed(queries, slices, kv_up, shape, layer, cache, out);
    }

    void attend_grouped(MatrixView queries,
                        std::span<const AttentionSlice> slices,
                        const GqaShape& shape,
                        std::int64_t layer,
                        const KvCache& cache,
                        MatrixView out) override {
        inner_->attend_grouped(queries, slices, shape, layer, cache, out);
    }

    Routing route(MatrixView logits,
                  const PreparedWeight& bias,
                  const RouterShape& shape) override {
        Routing routing = inner_->route(logits, bias, shape);
        routings[names_.at(&bias)] = routing;
        return routing;
    }

    void run_experts(MatrixView x,
                     const Routing& routing,
                     std::span<const MlpWeights> experts,
                     MatrixView out) override {
        inner_->run_experts(x, routing, experts, out);
    }

    void combine_experts(MatrixView expert_out,
                         const Routing& routing,
                         MatrixView shared,
                         MatrixView accumulator) override {
        inner_->combine_experts(expert_out, routing, shared, accumulator);
    }

    void sample(MatrixView logits,
                std::span<const SampleParams> params,
                std::int64_t num_tokens,
                std::span<SampledRow> out) override {
        inner_->sample(logits, params, num_tokens, out);
    }

  private:
    std::unique_ptr<Backend> inner_;
    std::map<const PreparedWeight*, std::string> names_;
};

}  // namespace turnpike::kernels
