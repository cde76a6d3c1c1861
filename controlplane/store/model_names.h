// Writing model names inside a transaction of control.db; shared by models.h and endpoints.h.
#pragma once

#include "config/base/clock.h"
#include "config/base/result.h"
#include "controlplane/store/models.h"
#include "controlplane/store/sqlite.h"

namespace turnpike::controlplane {

Result<ModelRow> write_model_name(Database& database,
                                  const ModelName& name,
                                  const Price& price,
                                  WallTime now);
// The name as it is, with the prices of `now`. kNotFound.
Result<ModelRow> publish_model_name(Database& database, const std::string& name, WallTime now);
Status erase_model_name(Database& database, const std::string& name);
// Every name that leads to the endpoint.
Status erase_model_names_of(Database& database, const EndpointId& endpoint);

}  // namespace turnpike::controlplane
