// The gateway's requests to the control plane, but for those of customers: both ends say their
// protocol number, and one that is too far from ours is an error.
#pragma once

#include "config/base/result.h"
#include "config/net/http_client.h"
#include "config/net/http_message.h"

namespace turnpike::gateway {

// As client.send(). kConflict: the control plane and this gateway do not understand each other; the
// message says which to upgrade.
Result<net::HttpResponse> call_controlplane(net::HttpClient& client, net::HttpRequest request);

}  // namespace turnpike::gateway
