// The same events come out however the bytes are split.
#include "config/net/sse_parser.h"

#include <gtest/gtest.h>

#include <vector>

namespace turnpike::net {
namespace {

std::vector<std::string> parse_in_pieces(const std::string& text, std::size_t piece) {
    std::vector<std::string> seen;
    SseParser parser([&](const SseEvent& event) { seen.push_back(event.event + "|" + event.data); },
                     [&](std::string_view comment) { seen.push_back("#" + std::string(comment)); });
    for (std::size_t i = 0; i < text.size(); i += piece) parser.feed(text.substr(i, piece));
    return seen;
}

TEST(SseParser, AnySplitGivesTheSameEvents) {
    const std::string text =
        ": meter 1 0 0 0\n\ndata: {\"a\":1}\n\nevent: x\r\ndata: one\r\ndata: "
        "two\r\n\r\ndata:[DONE]\n\nid: 3\n\n";
    const std::vector<std::string> expected{"#meter 1 0 0 0", "|{\"a\":1}", "x|one\ntwo",
                                            "|[DONE]"};
    for (std::size_t piece = 1; piece <= text.size(); ++piece)
        EXPECT_EQ(parse_in_pieces(text, piece), expected) << piece;
}

}  // namespace
}  // namespace turnpike::net
