// The absorbed form of MLA: queries and results are projected, keys and values are the cache rows.
// Three loops: queries into latent space by head, partial sums by row and segment of positions, and
// the merge of the segments with the value projection by head. Rows of one sequence that see
// equally many blocks, such as a token and its draft, go through the cache together: their heads
// are lanes of the same tiles, so that keys and values are read, and turned, once.
#include <algorithm>
#include <limits>

#include "config/base/check.h"
#include "kernels/cpu/fast/attention.h"

namespace turnpike::kernels::fast {
namespace {

constexpr std::int64_t kMaxRows = 16;  // rows that share the reads of kv_b
constexpr std::int64_t kMaxSegments = 16;
constexpr std::int64_t kMaxJointHeads = 256;  // of rows that go together; a row alone may have more
constexpr int kMaxLanes = 64;

struct Row {
    const AttentionSlice* slice = nullptr;
    std::int64_t index = 0;  // of queries and out
    std::int64_t position = 0;

    std::int64_t num_blocks() const { return position / kCacheBlockTokens + 1; }

    // Blocks of one segment: by the context's length alone.
    std::int64_t segment_blocks() const { return (num_blocks() + kMaxSegments - 1) / kMaxSegments; }

    std::int64_t num_segments() const {
        return (num_blocks() + segment_blocks() - 1) / segment_blocks();
    }
};

// Rows that go together.
struct Party {
    std::int64_t first = 0;  // of the chunk
    std::int64_t num_rows = 0;
    std::int64_t num_heads = 0;  // of all of them: row by row
    std::int64_t padded_heads = 0;
    std::int64_t first_weight = 0;  // where its queries begin as tile weights, in heads
    std::size_t first_segment = 0;
    std::size_t end_segment = 0;
};

struct Segment {
    std::size_t party = 0;
    std::int64_t first_block = 0;
    std::int64_t end_block = 0;
    std::int64_t partial = 0;  // where its sums begin, in heads
};

// Up to kMaxRows rows at once.
class AbsorbedChunk {
  public:
    AbsorbedChunk(const Context& context,
                  AttentionScratch& scratch,
                  const AttentionCall& call,
                  std::vector<Row> rows)
        : context_(context),
          table_(context.table),
          scratch_(scratch),
          call_(call),
          shape_(call.shape),
          rows_(std::move(rows)),
          num_rows_(static_cast<std::int64_t>(rows_.size())),
          vector_(table_.vector_lanes),
          padded_latent_((shape_.latent_dim + vector_ - 1) / vector_ * vector_),
          query_units_(padded_units(table_, shape_.cache_dim())) {
        form_parties();
        const std::int64_t partial_heads = cut_segments();
        const Party& last = parties_.back();
        queries_ =
            scratch.queries.reserve_as<std::uint32_t>(num_rows_ * shape_.num_heads * query_units_);
        weights_ = scratch.weights.reserve_as<std::uint32_t>(
            (last.first_weight + last.padded_heads) * query_units_);
        partial_ = scratch.partial.reserve_as<float>(partial_heads * floats_per_head());
    }

    void run() {
        const std::int64_t head_work = 4 * shape_.latent_dim * shape_.nope_dim;
        run_split(shape_.num_heads, head_work,
                  [this](std::int64_t head, Scratch& scratch) { absorb(head, scratch); });
        run_split(static_cast<std::int64_t>(parties_.size()),
                  2 * parties_.front().padded_heads * shape_.cache_dim(),
                  [this](std::int64_t index, Scratch&) { arrange_queries(party(index)); });
        const std::int64_t segment_work = 64 * parties_.front().num_heads * shape_.latent_dim;
        run_split(static_cast<std::int64_t>(segments_.size()), segment_work,
                  [this](std::int64_t index, Scratch& scratch) { sum_segment(index, scratch); });
        run_split(shape_.num_heads, head_work,
                  [this](std::int64_t head, Scratch& scratch) { project_values(head, scratch); });
    }

  private:
    template <class Body>
    void run_split(std::int64_t count, std::int64_t work, const Body& body) {
        context_.threads.run_on_threads(
            count, work, [&](std::int64_t thread, std::int64_t begin, std::int64_t end) {
                Scratch& scratch = scratch_.of_thread[static_cast<std::size_t>(thread)];
                for (std::int64_t i = begin; i < end; ++i) body(i, scratch);
            });
    }

    const Row& row(std::int64_t index) const { return rows_[static_cast<std::size_t>(index)]; }

    const Party& party(std::int64_t index) const {
        return parties_[static_cast<std::size_t>(index)];
    }

    void form_parties() {
        for (std::int64_t r = 0; r < num_rows_; ++r) {
            const Row* before = r > 0 ? &row(r - 1) : nullptr;
            const bool is_like = before != nullptr && before->slice == row(r).slice &&
                                 before->num_blocks() == row(r).num_blocks();
            if (!is_like || parties_.back().num_heads + shape_.num_heads > kMaxJointHeads) {
                Party next;
                next.first = r;
                if (r > 0)
                    next.first_weight = parties_.back().first_weight + parties_.back().padded_heads;
                parties_.push_back(next);
            }
            Party& last = parties_.back();
            ++last.num_rows;
            last.num_heads += shape_.num_heads;
            last.padded_heads = (last.num_heads + vector_ - 1) / vector_ * vector_;
        }
    }

    // Returns how many heads' partial sums there are.
    std::int64_t cut_segments() {
        std::int64_t num_heads = 0;
        for (std::size_t p = 0; p < parties_.size(); ++p) {
            Party& party = parties_[p];
            const Row& like = row(party.first);
            party.first_segment = segments_.size();
            for (std::int64_t s = 0; s < like.num_segments(); ++s) {
                const std::int64_t first = s * like.segment_blocks();
                const std::int64_t end = std::min(like.num_blocks(), first + like.segment_blocks());
                segments_.push_back({p, first, end, num_heads});
                num_heads += party.num_heads;
            }
            party.end_segment = segments_.size();
        }
        return num_heads;
    }

    // Per segment: for each head max, then for each total, then the weighted sums of latents.
    std::int64_t floats_per_head() const { return padded_latent_ + 2; }

    float* partial(const Segment& segment) const {
        return partial_ + segment.partial * floats_per_head();
    }

    MatrixView view(float* data, std::int64_t rows, std::int64_t cols, std::int64_t stride) const {
        return {data, DType::kF32, rows, cols, stride};
    }

    // The rows' queries of one head, [latent | rope], packed.
    void absorb(std::int64_t head, Scratch& scratch) {
        const PackedMatrix& weight = call_.kv_up.head(head).key_transposed;
        const std::int64_t width = shape_.cache_dim();
        const std::size_t bytes =
            packed_bytes(table_, weight.row_format(), num_rows_, shape_.nope_dim);
        float* full = scratch.reserve_as<float>(num_rows_ * (width + shape_.nope_dim) +
                                                static_cast<std::int64_t>(bytes / 4) + 64);
        float* nope = full + num_rows_ * width;
        auto* to = reinterpret_cast<std::byte*>(nope + num_rows_ * shape_.nope_dim);
        for (std::int64_t r = 0; r < num_rows_; ++r) {
            const float* query = row_of(call_.queries, row(r).index) + head * shape_.query_dim();
            std::copy_n(query, shape_.nope_dim, nope + r * shape_.nope_dim);
            std::copy_n(query + shape_.nope_dim, shape_.rope_dim,
                        full + r * width + shape_.latent_dim);
        }
        const PackedRows rows =
            pack_here(table_, weight.row_format(),
                      view(nope, num_rows_, shape_.nope_dim, shape_.nope_dim), to);
        product(table_, weight, 0, weight.num_groups(), rows, false,
                view(full, num_rows_, shape_.latent_dim, width));
        for (std::int64_t r = 0; r < num_rows_; ++r) {
            pack_act(table_, full + r * width, width, 1, width,
                     queries_ + (r * shape_.num_heads + head) * query_units_);
        }
    }

    std::int64_t head_lanes(const Party& party, std::int64_t first) const {
        return std::min<std::int64_t>(table_.group_lanes, party.padded_heads - first);
    }

    // Queries as tile weights: heads side by side.
    void arrange_queries(const Party& party) {
        const std::int64_t units = act_units(table_, shape_.cache_dim());
        for (std::int64_t h = 0; h < party.padded_heads; h += table_.group_lanes) {
            const std::int64_t lanes = head_lanes(party, h);
            table_.transpose(queries_ + (party.first * shape_.num_heads + h) * query_units_,
                             query_units_, std::min(lanes, party.num_heads - h), units,
                             weights_ + (party.first_weight + h) * query_units_, lanes);
        }
    }

    // What summing one segment needs, in a thread's scratch.
    struct Work {
        float scores[kCacheBlockTokens * kMaxLanes];
        float by_head[kMaxLanes * kCacheBlockTokens];
        std::uint32_t values[kCacheBlockTokens * kMaxLanes];
    };

    void sum_segment(std::int64_t index, Scratch& scratch) {
        const Segment& segment = segments_[static_cast<std::size_t>(index)];
        const Party& party = parties_[segment.party];
        const Row& last = row(party.first + party.num_rows - 1);
        const std::int64_t heads = party.num_heads;
        const std::int64_t weight_units = act_units(table_, kCacheBlockTokens);
        std::byte* memory = scratch.reserve(
            sizeof(Work) +
            static_cast<std::size_t>(heads * (weight_units + kMaxLanes) * 4 +
                                     heads * static_cast<std::int64_t>(sizeof(MergeScales))));
        auto& work = *reinterpret_cast<Work*>(memory);
        auto* weights = reinterpret_cast<std::uint32_t*>(memory + sizeof(Work));
        auto* sums = reinterpret_cast<float*>(weights + heads * weight_units);
        auto* scales = reinterpret_cast<MergeScales*>(sums + heads * kMaxLanes);
        float* max = partial(segment);
        float* total = max + heads;
        float* latents = total + heads;
        std::fill_n(max, heads, -std::numeric_limits<float>::infinity());
        std::fill_n(total, heads * (padded_latent_ + 1), 0.0F);
        for (std::int64_t b = segment.first_block; b < segment.end_block; ++b) {
            const std::int64_t start = b * kCacheBlockTokens;
            const std::byte* cached = call_.block(*last.slice, start);
            const std::byte* next = b + 1 < segment.end_block
                                        ? call_.block(*last.slice, start + kCacheBlockTokens)
                                        : nullptr;
            for (std::int64_t h = 0; h < heads; h += table_.group_lanes)
                score(work, party, h, {cached, h == 0 ? next : nullptr, start},
                      weights + h * weight_units, max + h, total + h, scales + h);
            add_values(work, cached, seen_from(start, last), heads, weights, sums, scales, latents);
        }
    }

    // How many of the rows from `start` on, of one cache block, a row sees.
    static std::int64_t seen_from(std::int64_t start, const Row& row) {
        return std::min<std::int64_t>(kCacheBlockTokens, row.position + 1 - start);
    }

    // A cache block: its rows, those of the block after it, and its first position.
    struct Keys {
        const std::byte* cached = nullptr;
        const std::byte* next = nullptr;
        std::int64_t start = 0;
    };

    // One block's weights of the heads from h on, and how they merge with what was summed before.
    // What a row does not see has a weight of zero.
    void score(Work& work,
               const Party& party,
               std::int64_t h,
               const Keys& keys,
               std::uint32_t* weights,
               float* max,
               float* total,
               MergeScales* scales) const {
        const std::int64_t lanes = head_lanes(party, h);
        const std::int64_t seen = seen_from(keys.start, row(party.first + party.num_rows - 1));
        TileCall call =
            act_call(table_, weights_ + (party.first_weight + h) * query_units_, lanes, keys.cached,
                     call_.cache.row_bytes(), seen, shape_.cache_dim(), work.scores);
        call.is_x_streamed = true;
        call.next_x = keys.next;
        table_.tile(call);
        table_.transpose(reinterpret_cast<const std::uint32_t*>(work.scores), lanes, seen, lanes,
                         reinterpret_cast<std::uint32_t*>(work.by_head), kCacheBlockTokens);
        const std::int64_t count = std::min(lanes, party.num_heads - h);
        const std::int64_t units = act_units(table_, kCacheBlockTokens);
        for (std::int64_t i = 0; i < count; ++i) {
            const Row& own = row(party.first + (h + i) / shape_.num_heads);
            const auto part =
                table_.softmax64(work.by_head + i * kCacheBlockTokens, seen_from(keys.start, own),
                                 shape_.softmax_scale, weights + i * units);
            scales[i] = merge_softmax(max[i], total[i], part);
        }
    }

    // latents [heads][padded_latent_] += weights [heads][64] * cache rows.
    void add_values(Work& work,
                    const std::byte* cached,
                    std::int64_t seen,
                    std::int64_t num_heads,
                    const std::uint32_t* weights,
                    float* sums,
                    const MergeScales* scales,
                    float* latents) const {
        const std::int64_t value_bytes = table_.is_paired ? 2 : 4;
        for (std::int64_t l = 0; l < padded_latent_; l += table_.group_lanes) {
            const std::int64_t lanes =
                std::min<std::int64_t>(table_.group_lanes, padded_latent_ - l);
            table_.rows_to_weights(cached + l * value_bytes, call_.cache.row_bytes(), seen, lanes,
                                   work.values);
            table_.tile(act_call(table_, work.values, lanes, weights,
                                 act_units(table_, kCacheBlockTokens) * 4, num_heads, seen, sums));
            for (std::int64_t h = 0; h < num_heads; ++h) {
                table_.merge(latents + h * padded_latent_ + l, scales[h].old_scale,
                             sums + h * lanes, scales[h].new_scale, lanes);
            }
        }
    }

    // Merges a head's segments in ascending order and projects the rows' values.
    void project_values(std::int64_t head, Scratch& scratch) {
        const PackedMatrix& weight = call_.kv_up.head(head).value;
        const std::int64_t width = padded_latent_;
        const std::size_t bytes =
            packed_bytes(table_, weight.row_format(), num_rows_, shape_.latent_dim);
        float* merged = scratch.reserve_as<float>(num_rows_ * (width + shape_.v_dim) +
                                                  static_cast<std::int64_t>(bytes / 4) + 64);
        float* values = merged + num_rows_ * width;
        auto* to = reinterpret_cast<std::byte*>(values + num_rows_ * shape_.v_dim);
        for (const Party& party : parties_) {
            for (std::int64_t r = 0; r < party.num_rows; ++r) {
                merge_segments(party, r * shape_.num_heads + head,
                               merged + (party.first + r) * width);
            }
        }
        const PackedRows rows = pack_here(table_, weight.row_format(),
                                          view(merged, num_rows_, shape_.latent_dim, width), to);
        product(table_, weight, 0, weight.num_groups(), rows, false,
                view(values, num_rows_, shape_.v_dim, shape_.v_dim));
        for (std::int64_t r = 0; r < num_rows_; ++r) {
            std::copy_n(values + r * shape_.v_dim, shape_.v_dim,
                        row_of(call_.out, row(r).index) + head * shape_.v_dim);
        }
    }

    // The softmax of one of the party's heads: the mean of the latents that it saw.
    void merge_segments(const Party& party, std::int64_t head, float* mean) const {
        const std::int64_t width = padded_latent_;
        float max = -std::numeric_limits<float>::infinity();
        float total = 0.0F;
        std::fill_n(mean, width, 0.0F);
        for (std::size_t s = party.first_segment; s < party.end_segment; ++s) {
            const float* from = partial(segments_[s]);
            const MergeScales scales =
                merge_softmax(max, total, {from[head], from[party.num_heads + head]});
            table_.merge(mean, scales.old_scale, from + 2 * party.num_heads + head * width,
                         scales.new_scale, width);
        }
        for (std::int64_t i = 0; i < width; ++i) mean[i] /= total;
    }

    const Context& context_;
    const KernelTable& table_;
    AttentionScratch& scratch_;
    const AttentionCall& call_;
    const MlaShape& shape_;
    const std::vector<Row> rows_;
    const std::int64_t num_rows_;
    const std::int64_t vector_;
    const std::int64_t padded_latent_;
    const std::int64_t query_units_;
    std::vector<Party> parties_;     // rows ascending
    std::vector<Segment> segments_;  // parties ascending, then blocks
    std::uint32_t* queries_ = nullptr;
    std::uint32_t* weights_ = nullptr;
    float* partial_ = nullptr;
};

}  // namespace

void attend_absorbed(const Context& context, AttentionScratch& scratch, const AttentionCall& call) {
    check_call(call);
    std::vector<Row> rows;
    const auto flush = [&] {
        if (!rows.empty()) AbsorbedChunk(context, scratch, call, rows).run();
        rows.clear();
    };
    for (const AttentionSlice& slice : call.slices) {
        for (std::int64_t r = 0; r < slice.num_rows; ++r) {
            rows.push_back({&slice, slice.first_row + r, slice.first_position + r});
            if (static_cast<std::int64_t>(rows.size()) == kMaxRows) flush();
        }
    }
    flush();
}

}  // namespace turnpike::kernels::fast
