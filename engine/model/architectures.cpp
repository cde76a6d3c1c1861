// See blueprint.h. The one list of architectures.
#include <array>
#include <nlohmann/json.hpp>

#include "engine/model/blueprint.h"
#include "engine/model/deepseek_blueprint.h"
#include "engine/model/json_reader.h"
#include "engine/model/qwen3_blueprint.h"

namespace turnpike::engine {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;

struct Architecture {
    std::string_view name;  // as config.json writes it
    Result<std::unique_ptr<Blueprint>> (*parse)(std::string_view json_text,
                                                const std::string& file_name);
};

constexpr std::array kArchitectures{
    Architecture{kDeepseekArchitecture, parse_deepseek_blueprint},
    Architecture{kQwen3Architecture, parse_qwen3_blueprint},
};

std::string known_names() {
    std::string names;
    for (const Architecture& architecture : kArchitectures) {
        names += (names.empty() ? "" : ", ") + std::string(architecture.name);
    }
    return names;
}

}  // namespace

Result<std::unique_ptr<Blueprint>> parse_blueprint(std::string_view json_text,
                                                   const std::string& file_name) {
    const auto json = parse_config_object(json_text, file_name);
    if (!json) return json.error();
    const auto names = json->find("architectures");
    const bool is_one_name = names != json->end() && names->is_array() && names->size() == 1 &&
                             names->front().is_string();
    if (is_one_name) {
        for (const Architecture& architecture : kArchitectures) {
            if (names->front() == architecture.name) {
                return architecture.parse(json_text, file_name);
            }
        }
    }
    const std::string found = names == json->end() ? "nothing" : excerpt(names->dump());
    return invalid_argument(file_name + ": architectures: this engine runs one of " +
                                known_names() + ", found " + found,
                            "architectures");
}

Result<std::unique_ptr<Blueprint>> load_blueprint(const std::string& config_path) {
    auto text = read_text_file(config_path, kMaxConfigBytes);
    if (!text) return text.error();
    return parse_blueprint(*text, config_path);
}

}  // namespace turnpike::engine
