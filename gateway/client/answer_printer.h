// AnswerPrinter: the pieces of one answer to where they are read. On a terminal everything stands
// there, reasoning dimmed; otherwise the answer alone goes to the output and reasoning to the
// notes.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "gateway/client/answer_reader.h"

namespace turnpike::gateway::client {

// One place to write to: standard output, or standard error.
struct Channel {
    std::function<bool(std::string_view)> write;  // false: nobody reads any more
    bool is_terminal = false;                     // then text is made harmless for it
    bool has_style = false;                       // and it understands how to dim
};

class AnswerPrinter {
  public:
    AnswerPrinter(Channel output, Channel notes)
        : output_{std::move(output)}, notes_{std::move(notes)} {}

    // False: the output cannot be written to any more.
    bool print(PieceKind kind, std::string_view text);
    // Ends open lines.
    bool finish();

  private:
    // What a piece goes to, and how the last one there ended.
    struct Place {
        Channel channel;
        char last = '\n';

        bool put(std::string_view text);

        bool end_line() { return last == '\n' || put("\n"); }
    };

    bool put_reasoning(std::string_view text);

    Place output_;
    Place notes_;
    bool has_reasoning_ = false;  // and no content after it yet
};

}  // namespace turnpike::gateway::client
