// Appends JSON text: escaped strings and members. For writers that must be fast and need no tree.
#pragma once

#include <string>
#include <string_view>

namespace turnpike::engine {

// A JSON string with its quotes. `text` is UTF-8; bytes that are not come out as U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// `bytes` with every byte that is no UTF-8 spelled out as \xNN: for tokens that hold a part of a
// character.
std::string spell_out(std::string_view bytes);

// "name": followed by the value, with a comma first unless the object was just opened.
void append_name(std::string& out, std::string_view name);
void append_member(std::string& out, std::string_view name, std::string_view text);
void append_member(std::string& out, std::string_view name, long long number);
// The same, `raw` being JSON already.
void append_raw_member(std::string& out, std::string_view name, std::string_view raw);

}  // namespace turnpike::engine
