#include "config/base/log.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace turnpike {
namespace {

std::string_view level_name(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug:
            return "debug";
        case LogLevel::kInfo:
            return "info";
        case LogLevel::kWarning:
            return "warning";
        case LogLevel::kError:
            return "error";
    }
    return "error";
}

bool needs_quotes(std::string_view text) {
    if (text.empty()) return true;
    for (const char c : text) {
        if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
            return true;
    }
    return false;
}

void append_value(std::string& line, std::string_view text) {
    if (!needs_quotes(text)) {
        line += text;
        return;
    }
    line += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            line += '\\';
            line += c;
        } else if (byte < ' ' || byte == 0x7f) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
            line += escaped;
        } else {
            line += c;
        }
    }
    line += '"';
}

}  // namespace

Log::Log(const Clock& clock, std::string component, LogLevel threshold)
    : clock_(clock), component_(std::move(component)), threshold_(threshold) {}

LogField::LogField(std::string_view field_name, double number)
    : name(field_name), value(fmt::format("{:.6g}", number)) {}

void Log::debug(std::string_view event, std::initializer_list<LogField> fields) {
    write(LogLevel::kDebug, event, fields);
}

void Log::info(std::string_view event, std::initializer_list<LogField> fields) {
    write(LogLevel::kInfo, event, fields);
}

void Log::warning(std::string_view event, std::initializer_list<LogField> fields) {
    write(LogLevel::kWarning, event, fields);
}

void Log::error(std::string_view event, std::initializer_list<LogField> fields) {
    write(LogLevel::kError, event, fields);
}

void Log::write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    if (level < threshold_) return;
    std::string line = "time=" + format_rfc3339(clock_.wall_now()) + " level=";
    line += level_name(level);
    line += " component=" + component_ + " event=";
    line += event;
    for (const LogField& field : fields) {
        line += ' ';
        line += field.name;
        line += '=';
        append_value(line, field.value);
    }
    line += '\n';
    const std::lock_guard lock(mutex_);
    std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace turnpike
