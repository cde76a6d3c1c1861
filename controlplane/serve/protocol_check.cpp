#include "controlplane/serve/protocol_check.h"

#include <string>
#include <utility>

#include "controlplane/api/protocol.h"
#include "controlplane/serve/router.h"

namespace turnpike::controlplane {
namespace {

// Adds our number to whatever is answered.
class NumberedReply final : public net::HttpReply {
  public:
    explicit NumberedReply(std::shared_ptr<net::HttpReply> inner) : inner_(std::move(inner)) {}

    void respond(net::HttpResponse response) override {
        add_number(response.headers);
        inner_->respond(std::move(response));
    }

    void start(int status, net::HttpHeaders headers) override {
        add_number(headers);
        inner_->start(status, std::move(headers));
    }

    bool write(std::string chunk) override { return inner_->write(std::move(chunk)); }

    void finish() override { inner_->finish(); }

    void on_client_gone(std::function<void()> callback) override {
        inner_->on_client_gone(std::move(callback));
    }

    bool is_client_gone() const override { return inner_->is_client_gone(); }

    std::size_t backlog_bytes() const override { return inner_->backlog_bytes(); }

  private:
    static void add_number(net::HttpHeaders& headers) {
        headers.add(std::string(kProtocolHeader), std::to_string(kProtocol));
    }

    const std::shared_ptr<net::HttpReply> inner_;
};

}  // namespace

net::HttpHandler with_protocol_check(net::HttpHandler inner) {
    return [inner = std::move(inner)](const net::HttpRequest& request,
                                      std::shared_ptr<net::HttpReply> reply) {
        auto numbered = std::make_shared<NumberedReply>(std::move(reply));
        const Status status = check_protocol(kControlplaneEnd, kGatewayEnd.process,
                                             request.headers.get(kProtocolHeader));
        if (status) return inner(request, std::move(numbered));
        net::HttpResponse response = error_response(status.error());
        response.status = kProtocolStatus;
        numbered->respond(std::move(response));
    };
}

}  // namespace turnpike::controlplane
