// Doctor: what `turnpike doctor` makes of what it found. Pure; host.h and doctor_verb.h do the
// looking. Each judgment is a row: what was checked, how it stands, what was found, what to do.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/build_info.h"
#include "config/base/clock.h"
#include "config/base/program.h"
#include "config/base/result.h"
#include "config/crypto/certificate.h"
#include "controlplane/cli/health.h"
#include "controlplane/cli/host.h"

namespace turnpike::controlplane::cli {

enum class Verdict { kOk, kWarn, kFail };

struct Finding {
    std::string check;  // "certificate", "clock", "disk data"
    Verdict verdict = Verdict::kOk;
    std::string found;
    std::string advice;  // empty when nothing is to be done
};

std::string_view to_string(Verdict verdict);  // "ok", "warn", "fail"

struct CertificateFiles {
    Result<crypto::Certificate> certificate;
    Result<bool> is_key_of;
};

// `host`: that clients are told to use; empty when it is not known.
Finding judge_certificate(const CertificateFiles& files, std::string_view host, WallTime now);
// Whether a certificate for `names` is for `host`: the same, or "*.example.org" for one more label.
bool covers(const std::vector<std::string>& names, std::string_view host);

// `what`: "data", "outbox" or "run".
Finding judge_space(std::string_view what, const std::string& path, const Result<Space>& space);
Finding judge_clock(const Result<ClockStatus>& clock);
Finding judge_open_files(const Result<OpenFileLimits>& limits);
// `listing`: what nvidia-smi says, one GPU a line; kNotFound without it. `num_wanted`: the most
// that hardware of the settings has.
Finding judge_gpus(const Result<ProgramRun>& listing, std::int64_t num_wanted);
// What turnpike-engine says of a checkpoint.
Finding judge_model(const std::string& model_dir, const Result<ProgramRun>& check);
// The answer of the control plane's /healthz.
Finding judge_databases(const Result<nlohmann::json>& health);
// A part of `turnpike health`.
Finding judge_part(const PartHealth& part);

struct ProcessBuild {
    std::string process;  // "turnpike", "control plane", "gateway", "engine <replica>"
    BuildInfo build;
};

// The first is that of this program.
Finding judge_builds(const std::vector<ProcessBuild>& builds);
// From a process' metrics; nothing when it does not tell.
std::optional<BuildInfo> find_build(std::string_view metrics);

// Whose settings a file has: "gateway", "controlplane" or "engine"; empty when nobody's.
std::string kind_of_settings(const nlohmann::json& settings);

bool has_failed(const std::vector<Finding>& findings);
// {"ok":…,"checks":[{"check","state","found","advice"}]}
nlohmann::json to_json(const std::vector<Finding>& findings);
// A table.
std::string to_text(const std::vector<Finding>& findings);

}  // namespace turnpike::controlplane::cli
