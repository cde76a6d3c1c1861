// HttpResponseParser: the bytes of one HTTP/1.1 reply to its status, headers and body, whatever
// their split. Beast stays in the .cpp.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "config/base/result.h"
#include "config/net/http_message.h"

namespace turnpike::net {

class HttpResponseParser {
  public:
    // Gets each piece of the body of a 2xx reply as it comes; false: no more is wanted.
    using OnBody = std::function<bool(std::string_view)>;

    // Without `on_body`, and for every other status, the body is collected in the response.
    // `is_head`: the reply has no body whatever its headers say.
    HttpResponseParser(OnBody on_body, bool is_head);
    ~HttpResponseParser();
    HttpResponseParser(HttpResponseParser&&) noexcept;
    HttpResponseParser& operator=(HttpResponseParser&&) noexcept;

    // kCorrupt: this is no HTTP. Not to be called once is_done() or was_stopped().
    Status feed(std::string_view bytes);
    // The peer has closed. kIo: that was before the end of the reply.
    Status finish();

    bool has_bytes() const;
    bool has_head() const;
    bool is_done() const;
    // on_body wanted no more.
    bool was_stopped() const;
    // Once done: whether the connection can carry another exchange.
    bool may_keep_connection() const;

    HttpResponse& response();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace turnpike::net
