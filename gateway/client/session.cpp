#include "gateway/client/session.h"

#include <cstdlib>
#include <memory>
#include <utility>

#include "gateway/client/exit_code.h"
#include "gateway/client/summary.h"
#include "gateway/client/terminal.h"

namespace turnpike::gateway::client {
namespace {

constexpr char kHelp[] =
    "/new forgets the conversation, /quit or Ctrl-D ends, Ctrl-C stops an answer";

// The next line without its end; empty at the end of the input.
std::optional<std::string> read_line(std::FILE* input) {
    char* raw = nullptr;
    std::size_t capacity = 0;
    const ssize_t length = ::getline(&raw, &capacity, input);
    const std::unique_ptr<char, decltype(&std::free)> owner(raw, &std::free);
    if (length < 0) return {};
    std::string line(raw, static_cast<std::size_t>(length));
    if (line.ends_with('\n')) line.pop_back();
    return line;
}

int exit_code_of(FailureKind kind) {
    switch (kind) {
        case FailureKind::kUnreachable:
            return kUnreachable;
        case FailureKind::kRefused:
            return kRefused;
        case FailureKind::kCancelled:
            return kInterrupted;
        case FailureKind::kBroken:
        case FailureKind::kStopped:
            break;
    }
    return kFailed;
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

ChatSession::ChatSession(PublicApi& api, Conversation conversation, Place place, const Clock& clock)
    : api_(api), conversation_(std::move(conversation)), place_(std::move(place)), clock_(clock) {}

bool ChatSession::note(const std::string& line) {
    return place_.notes.write(escape_controls(line) + "\n");
}

const PriceList* ChatSession::price_list() {
    if (!prices_) {
        // Without it an answer is as good; only its cost is not told.
        if (auto list = api_.models()) prices_ = std::move(*list);
    }
    return prices_ ? &*prices_ : nullptr;
}

ChatOutcome ChatSession::chat() {
    AnswerPrinter printer(place_.output, place_.notes);
    ChatReaders readers;
    if (place_.is_json) {
        readers.on_piece = [](PieceKind, std::string_view) { return true; };
        readers.on_json = [&](std::string_view json) {
            return printer.print(PieceKind::kContent, std::string(json) + "\n");
        };
    } else {
        readers.on_piece = [&](PieceKind kind, std::string_view text) {
            return printer.print(kind, text);
        };
        readers.on_json = [](std::string_view) { return true; };
    }
    ChatOutcome outcome = api_.chat(conversation_.request(), readers);
    if (!printer.finish() && !outcome.failure)
        outcome.failure = Failure{FailureKind::kStopped, {}, 0};
    return outcome;
}

int ChatSession::report(const Failure& failure) {
    if (failure.kind == FailureKind::kStopped) {
        note(
            "turnpike chat: the answer cannot be written: its reader has gone, or the disk is "
            "full");
    } else {
        note("turnpike chat: " + failure.message);
    }
    if (failure.kind == FailureKind::kUnreachable) {
        note("  Is " + api_.base_url() +
             " right, and TURNPIKE_CA_CERT its authority?"
             " Where quickstart ran: . .turnpike/env");
    }
    if (failure.status == 404) {
        if (const PriceList* list = price_list()) note("  Models here: " + joined(list->names()));
    }
    return exit_code_of(failure.kind);
}

void ChatSession::report_summary(const AnswerFacts& facts, std::chrono::milliseconds duration) {
    const PriceList* prices = price_list();
    note(
        summary_line(facts, prices ? prices->find(conversation_.model()) : std::nullopt, duration));
}

int ChatSession::ask(std::string question) {
    conversation_.ask(std::move(question));
    const SteadyTime start = clock_.steady_now();
    const ChatOutcome outcome = chat();
    const auto duration =
        std::chrono::duration_cast<std::chrono::milliseconds>(clock_.steady_now() - start);
    conversation_.note_answer(outcome.facts.content);
    if (outcome.failure) {
        const int code = report(*outcome.failure);
        if (!outcome.facts.request_id.empty()) note("  request " + outcome.facts.request_id);
        return code;
    }
    report_summary(outcome.facts, duration);
    return kOk;
}

void ChatSession::show_prompt() {
    const std::lock_guard lock(prompt_mutex_);
    place_.notes.write("> ");
    is_at_prompt_ = true;
}

void ChatSession::leave_prompt() {
    const std::lock_guard lock(prompt_mutex_);
    is_at_prompt_ = false;
}

int ChatSession::loop(std::FILE* input) {
    note(conversation_.model() + " at " + api_.base_url() + ": " + kHelp);
    for (;;) {
        show_prompt();
        std::optional<std::string> line = read_line(input);
        leave_prompt();
        if (!line) {
            place_.notes.write("\n");
            return kOk;
        }
        if (*line == "/quit") return kOk;
        if (*line == "/new") {
            conversation_.forget();
            note("a new conversation");
        } else if (line->find_first_not_of(" \t") != std::string::npos) {
            ask(std::move(*line));
        }
    }
}

void ChatSession::interrupt() {
    if (api_.cancel()) return;
    const std::lock_guard lock(prompt_mutex_);
    // The terminal has thrown away the line so far.
    if (is_at_prompt_) place_.notes.write("\n> ");
}

}  // namespace turnpike::gateway::client
