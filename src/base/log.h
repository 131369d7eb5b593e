// One record per line, as text or JSON, with runc's field names (level, msg, time), so that Podman,
// conmon and containerd's shim can read the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nexcage/base/error.h"

namespace nexcage::log {

enum class Level : std::uint8_t { debug, info, warning, error };
enum class Format : std::uint8_t { text, json };

/// Where records go. Process-wide because a logger that has to be passed is a logger not used;
/// set once by main before anything is logged. Without a file, records of `minimum` and above go
/// to standard error as text ("nexcage: ...").
struct Settings {
  std::string file;  // empty: standard error
  Format format = Format::text;
  Level minimum = Level::warning;
};

/// Opens the file (append, created 0600, O_CLOEXEC). FileError when it cannot be opened.
Result<> open(const Settings& settings);
/// True when records of this level are written somewhere; lets callers skip building text.
bool enabled(Level level);
void debug(std::string_view text);
void info(std::string_view text);
void warning(std::string_view text);
/// An error that ends the command: message with code, errno, frames, hint and `also` as fields in
/// JSON. When a log file is set the message also goes to standard error, as runc does.
void error(const Error& error);

/// Says that this reason stands on standard error already: a program that we ran on ours wrote it.
/// An error with it as innermost frame goes to the log file only, but for its hint and clean-up.
void already_shown(std::string reason);

/// Escapes for a JSON string literal, without the quotes. Invalid UTF-8 becomes U+FFFD.
std::string json_escape(std::string_view text);

}  // namespace nexcage::log
