#include "gateway/client/answer_printer.h"

#include "gateway/client/terminal.h"

namespace turnpike::gateway::client {
namespace {

constexpr char kDim[] = "\x1b[2m";
constexpr char kPlain[] = "\x1b[0m";

}  // namespace

bool AnswerPrinter::Place::put(std::string_view text) {
    if (text.empty()) return true;
    last = text.back();
    return channel.write(channel.is_terminal ? escape_controls(text) : std::string(text));
}

bool AnswerPrinter::put_reasoning(std::string_view text) {
    Place& place = output_.channel.is_terminal ? output_ : notes_;
    has_reasoning_ = true;
    if (!place.channel.has_style) return place.put(text);
    // Each piece is dimmed by itself: whatever ends the program leaves the terminal as it was.
    return place.channel.write(kDim) && place.put(text) && place.channel.write(kPlain);
}

bool AnswerPrinter::print(PieceKind kind, std::string_view text) {
    if (kind == PieceKind::kReasoning) return put_reasoning(text);
    if (has_reasoning_) {
        has_reasoning_ = false;
        const bool is_apart = output_.channel.is_terminal ? output_.end_line() && output_.put("\n")
                                                          : notes_.end_line();
        if (!is_apart) return false;
    }
    return output_.put(text);
}

bool AnswerPrinter::finish() {
    return notes_.end_line() && output_.end_line();
}

}  // namespace turnpike::gateway::client
