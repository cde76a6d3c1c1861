// The check of gateways' protocol numbers, ahead of the internal routes.
#pragma once

#include "config/net/http_server.h"

namespace turnpike::controlplane {

// Answers 426 to a gateway whose number is too far from ours, else what `inner` answers; ours is in
// the header of every answer.
net::HttpHandler with_protocol_check(net::HttpHandler inner);

}  // namespace turnpike::controlplane
