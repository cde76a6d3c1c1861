// ChatSession: asks, prints, keeps the conversation; one question, or a loop on a terminal.
#pragma once

#include <cstdio>
#include <mutex>
#include <optional>
#include <string>

#include "config/base/clock.h"
#include "gateway/client/answer_printer.h"
#include "gateway/client/conversation.h"
#include "gateway/client/public_api.h"

namespace turnpike::gateway::client {

struct Place {
    Channel output;
    Channel notes;
    bool is_json = false;  // the API's own JSON instead of text
};

class ChatSession {
  public:
    ChatSession(PublicApi& api, Conversation conversation, Place place, const Clock& clock);

    // One question and its answer. Returns an exit code.
    int ask(std::string question);
    // Reads questions line by line until the end of `input` or /quit. Failures are told and the
    // loop goes on; the exit code is that of an output which nobody reads any more, or kOk.
    int loop(std::FILE* input);

    // Ctrl-C, from another thread: ends the answer in progress, or shows a fresh prompt.
    void interrupt();

  private:
    ChatOutcome chat();
    int report(const Failure& failure);
    void report_summary(const AnswerFacts& facts, std::chrono::milliseconds duration);
    bool note(const std::string& line);
    void show_prompt();
    void leave_prompt();
    const PriceList* price_list();

    PublicApi& api_;
    Conversation conversation_;
    const Place place_;
    const Clock& clock_;
    std::optional<PriceList> prices_;
    // Held while a prompt is written too: a Ctrl-C that answers a prompt on the screen finds it
    // here.
    std::mutex prompt_mutex_;
    bool is_at_prompt_ = false;
};

}  // namespace turnpike::gateway::client
