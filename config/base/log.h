// Log: one line per event to stderr for journald, key=value: time, level, event name, then fields.
// Events are past participles: request_finished. A key, prompt or completion is never a field.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <type_traits>

#include "config/base/clock.h"

namespace turnpike {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// One field of an event. Values are rendered at once; text with spaces, quotes or control bytes is
// quoted and escaped so that a hostile value cannot forge a line.
struct LogField {
    std::string_view name;
    std::string value;

    LogField(std::string_view field_name, std::string_view text) : name(field_name), value(text) {}

    LogField(std::string_view field_name, const char* text) : name(field_name), value(text) {}

    LogField(std::string_view field_name, const std::string& text)
        : name(field_name), value(text) {}
    template <class T>

    requires std::is_integral_v<T> LogField(std::string_view field_name, T number)
        : name(field_name), value(std::to_string(number)) {}

    LogField(std::string_view field_name, double number);  // six digits
};

// Thread-safe. Passed as Log&; there is no global logger.
class Log {
  public:
    // `component` is the process's short name: gateway, engine, controlplane.
    Log(const Clock& clock, std::string component, LogLevel threshold = LogLevel::kInfo);

    void debug(std::string_view event, std::initializer_list<LogField> fields = {});
    void info(std::string_view event, std::initializer_list<LogField> fields = {});
    void warning(std::string_view event, std::initializer_list<LogField> fields = {});
    void error(std::string_view event, std::initializer_list<LogField> fields = {});

  private:
    void write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

    const Clock& clock_;
    std::string component_;
    LogLevel threshold_;
    std::mutex mutex_;
};

}  // namespace turnpike
