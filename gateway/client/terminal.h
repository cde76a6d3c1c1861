// What a model says, made harmless for a terminal: control characters could move the cursor, change
// its title or answer for the user.
#pragma once

#include <string>
#include <string_view>

namespace turnpike::gateway::client {

// Line ends, tabs and well-formed UTF-8 stay; every other control character (C0, DEL, C1),
// surrogate and stray byte becomes "\xNN", one for each of its bytes.
std::string escape_controls(std::string_view text);

}  // namespace turnpike::gateway::client
