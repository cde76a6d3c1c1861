// EngineService: the routes of the engine protocol over one loaded model. See
// ops/docs/formats/engine-protocol.md.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/net/http_server.h"
#include "config/schema/model_card.h"
#include "engine/api/request.h"
#include "engine/api/status.h"
#include "engine/core/step_loop.h"
#include "engine/model/load.h"
#include "engine/serve/engine_settings.h"
#include "engine/serve/generation.h"
#include "engine/serve/meter_file.h"
#include "engine/serve/work_queue.h"
#include "engine/text/tokenizer.h"

namespace turnpike::engine {

class EngineService {
  public:
    EngineService(EngineSettings settings,
                  schema::ModelCard card,
                  std::unique_ptr<MeterFile> meter,
                  const Clock& clock,
                  Log& log);

    // The server may ask from now on: everything but /health, /load and /meter is 503 until load()
    // is done.
    void handle(const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply);

    // The ranks that share the model: before load(), when there are several. They outlive this.
    void set_ranks(RankLink ranks) { ranks_ = std::move(ranks); }

    // Tokenizer and weights. An error is also shown by /health.
    Status load();

    bool is_loading() const { return state_ == EngineState::kLoading; }

    // Refuses new requests. Any thread.
    void drain() { state_ = EngineState::kDraining; }

    // Ends what still runs with an error event, and the threads. While the server still answers;
    // idempotent.
    void stop();

    std::int64_t num_active() const { return *num_active_; }

  private:
    void generate(const net::HttpRequest& request,
                  const std::shared_ptr<net::HttpReply>& reply,
                  bool is_chat);
    Status check_epoch(const net::HttpRequest& request) const;
    Status check_supported(const CommonRequest& request) const;
    Result<SequenceSpec> make_sequence(const CommonRequest& request,
                                       std::vector<TokenId> prompt,
                                       std::uint64_t seed) const;
    GenerationOptions make_options(const CommonRequest& request,
                                   const std::string& id,
                                   bool is_metered) const;
    // Of a chat with a model that thinks: how thought and answer come apart.
    void split_reasoning(ReasoningFormat format,
                         bool ends_with_tool_result,
                         GenerationOptions& options) const;
    Health health() const;
    std::int64_t context_length() const;
    void respond_error(net::HttpReply& reply, const std::string& id, const Error& error) const;

    const EngineSettings settings_;
    const schema::ModelCard card_;
    const std::unique_ptr<MeterFile> meter_;
    RankLink ranks_;
    const Clock& clock_;
    Log& log_;
    std::atomic<EngineState> state_{EngineState::kLoading};
    mutable std::mutex reason_mutex_;
    std::string reason_;
    std::shared_ptr<std::atomic<std::int64_t>> num_active_ =
        std::make_shared<std::atomic<std::int64_t>>(0);

    // Set once by load(), before the state becomes ready.
    std::unique_ptr<text::Tokenizer> tokenizer_;
    ModelInfo info_;
    std::unique_ptr<Runner> runner_;
    std::unique_ptr<WorkQueue> queue_;
    std::unique_ptr<StepLoop> loop_;
};

}  // namespace turnpike::engine
