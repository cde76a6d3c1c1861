// CHECK: an invariant that holds in release builds too. A broken invariant is a bug of ours, so the
// process logs the expression with its place and aborts; the supervisor starts it again.
#pragma once

namespace turnpike::detail {

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

}  // namespace turnpike::detail

#define CHECK(expression)          \
    (static_cast<bool>(expression) \
         ? static_cast<void>(0)    \
         : ::turnpike::detail::check_failed(#expression, __FILE__, __LINE__))
