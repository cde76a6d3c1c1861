// DeepSeek-V3 and R1 as a Blueprint.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/blueprint.h"
#include "engine/model/deepseek_config.h"

namespace turnpike::engine {

std::vector<TensorSpec> deepseek_tensors(const DeepseekConfig& config);

// Errors as parse_blueprint.
Result<std::unique_ptr<Blueprint>> parse_deepseek_blueprint(std::string_view json_text,
                                                            const std::string& file_name);

}  // namespace turnpike::engine
