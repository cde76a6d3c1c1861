// The dense Qwen3 models as a Blueprint.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/model/blueprint.h"
#include "engine/model/qwen3_config.h"

namespace turnpike::engine {

// Errors as parse_blueprint.
Result<std::unique_ptr<Blueprint>> parse_qwen3_blueprint(std::string_view json_text,
                                                         const std::string& file_name);

}  // namespace turnpike::engine
