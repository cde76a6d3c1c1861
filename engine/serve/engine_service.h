// EngineService: the routes of the engine protocol over one loaded model. See
// ops/docs/formats/engine-protocol.md.
#pragma once

#include <atomic>
#include <functional>
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
#include "engine/serve/engine_metrics.h"
#include "engine/serve/engine_settings.h"
#include "engine/serve/generation.h"
#include "engine/serve/gpu_faults.h"
#include "engine/serve/live_requests.h"
#include "engine/serve/meter_file.h"
#include "engine/serve/request_plan.h"
#include "engine/serve/ticker.h"
#include "engine/serve/token_rate.h"
#include "engine/serve/watchdog.h"
#include "engine/serve/work_queue.h"
#include "engine/text/tokenizer.h"

namespace turnpike::engine {

class EngineService {
  public:
    // Called on a thread of its own, once, when the step thread hangs or the GPU is of no use any
    // more. Nothing can be finished: the process has to end.
    using StuckHandler = std::function<void(const std::string& reason)>;

    EngineService(EngineSettings settings,
                  schema::ModelCard card,
                  std::unique_ptr<MeterFile> meter,
                  const Clock& clock,
                  Log& log,
                  StuckHandler on_stuck);

    // The server may ask from now on: whatever needs the model is 503 until load() is done.
    void handle(const net::HttpRequest& request, const std::shared_ptr<net::HttpReply>& reply);

    // The ranks that share the model: before load(), when there are several. They outlive this.
    void set_ranks(RankLink ranks) { ranks_ = std::move(ranks); }

    // The faults of the GPU that it will serve on: before load().
    void watch_gpu(std::unique_ptr<GpuFaults> faults) { gpu_faults_ = std::move(faults); }

    // What /metrics tells of the build: before serving.
    void set_build(BuildInfo build) { metrics_.build = std::move(build); }

    // Tokenizer and weights. An error is also shown by /health.
    Status load();

    EngineState state() const { return state_; }

    bool is_loading() const { return state_ == EngineState::kLoading; }

    // None while the model is not loaded.
    Load load_now() const;

    // Refuses new requests. Any thread.
    void drain() { state_ = EngineState::kDraining; }

    // Ends what still runs with an error event, and the threads. While the server still answers;
    // idempotent.
    void stop();

    std::int64_t num_active() const { return *num_active_; }

  private:
    using Reply = std::shared_ptr<net::HttpReply>;

    // False when there is no such route.
    bool handle_get(std::string_view path, net::HttpReply& reply);
    bool handle_post(const net::HttpRequest& request, const Reply& reply);
    void get_health(net::HttpReply& reply) const;
    void get_meter_entry(std::string_view id, net::HttpReply& reply) const;
    void get_models(std::string_view id, net::HttpReply& reply) const;
    void generate(const net::HttpRequest& request, const Reply& reply, bool is_chat);
    Status admit(const net::HttpRequest& request, const Reply& reply, bool is_chat, std::string id);
    Result<RequestPlan> plan(const net::HttpRequest& request,
                             bool is_chat,
                             SteadyTime arrived_at) const;
    Status check_ready() const;
    Status check_epoch(const net::HttpRequest& request) const;
    Status check_peer(const net::HttpRequest& request) const;
    // Whether deadlines have passed, whether the step thread hangs or the GPU fails, how fast it
    // is.
    void tick();
    void give_up(const char* event, const std::string& reason);
    Health health() const;
    ServedModel model() const;
    std::int64_t context_length() const;
    void respond_error(net::HttpReply& reply, const std::string& id, const Error& error) const;

    const EngineSettings settings_;
    const schema::ModelCard card_;
    const std::unique_ptr<MeterFile> meter_;
    RankLink ranks_;
    const Clock& clock_;
    Log& log_;
    const StuckHandler on_stuck_;
    const std::int64_t started_unix_s_;
    EngineMetrics metrics_;
    LiveRequests live_;
    std::atomic<double> tokens_per_s_{0.0};
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

    // Of tick().
    Watchdog watchdog_;
    std::unique_ptr<GpuFaults> gpu_faults_;  // none without a GPU
    TokenRate rate_;
    bool has_given_up_ = false;
    std::unique_ptr<Ticker> ticker_;
};

}  // namespace turnpike::engine
