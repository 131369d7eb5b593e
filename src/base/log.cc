#include "nexcage/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "nexcage/base/clock.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/base/utf8.h"

namespace nexcage::log {
namespace {

struct State {
  Settings settings;
  UniqueFd file;
  std::string shown;  // a reason that standard error has already
};

/// Never destroyed: records may be written while other static objects go away.
State& state() {
  static auto* instance = new State;
  return *instance;
}

std::string_view level_name(Level level) {
  static constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warning", "error"};
  return kNames.at(static_cast<std::size_t>(level));
}

/// One write for one record, so that records of processes that share the file do not mix. A log
/// that cannot be written is nothing the command could do something about.
void write_record(int fd, std::string_view record) {
  while (!record.empty()) {
    const ssize_t n = ::write(fd, record.data(), record.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    record.remove_prefix(static_cast<std::size_t>(n));
  }
}

void append_hex_escape(std::string& out, unsigned value) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[value >> shift & 0xf];
}

void append_json_character(std::string& out, std::uint32_t value, std::string_view bytes) {
  switch (value) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      // DEL and C1 are legal in JSON, but the file is also read in a terminal.
      if (value < 0x20 || (value >= 0x7f && value <= 0x9f))
        append_hex_escape(out, value);
      else
        out += bytes;
  }
}

std::string json_string(std::string_view text) { return '"' + json_escape(text) + '"'; }

std::string json_error_fields(const Error& error) {
  std::string out = ",\"code\":" + json_string(errc_name(error.code()));
  if (error.sys_errno() != 0) out += ",\"errno\":" + std::to_string(error.sys_errno());
  out += ",\"frames\":[";
  for (const Frame& frame : error.frames()) {
    if (&frame != error.frames().data()) out += ',';
    out += "{\"text\":" + json_string(frame.text) +
           ",\"file\":" + json_string(frame.where.file_name()) +
           ",\"line\":" + std::to_string(frame.where.line()) + '}';
  }
  out += ']';
  if (!error.hint().empty()) out += ",\"hint\":" + json_string(error.hint());
  if (error.also().empty()) return out;
  out += ",\"also\":[";
  for (const Error& other : error.also()) {
    if (&other != error.also().data()) out += ',';
    out += "{\"msg\":" + json_string(other.message()) + json_error_fields(other) + '}';
  }
  return out + ']';
}

/// logrus quotes as Go does, which differs from JSON only for characters that do not occur here.
std::string text_error_fields(const Error& error) {
  std::string out = " code=" + std::string(errc_name(error.code()));
  if (!error.hint().empty()) out += " hint=" + json_string(error.hint());
  for (const Error& other : error.also()) out += " also=" + json_string(other.message());
  return out;
}

std::string file_record(Level level, std::string_view text, const Error* error) {
  const std::string time = format_rfc3339(now(), 0);
  if (state().settings.format == Format::json) {
    return "{\"level\":" + json_string(level_name(level)) + ",\"msg\":" + json_string(text) +
           ",\"time\":\"" + time + '"' + (error != nullptr ? json_error_fields(*error) : "") +
           "}\n";
  }
  return "time=\"" + time + "\" level=" + std::string(level_name(level)) +
         " msg=" + json_string(text) + (error != nullptr ? text_error_fields(*error) : "") + '\n';
}

/// A message may hold bytes of an image or a guest: nothing in it may steer the terminal or start a
/// line that looks like another record.
std::string terminal_safe(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.length == 0)
      out += "\xef\xbf\xbd";
    else if (c.value < 0x20 || (c.value >= 0x7f && c.value <= 0x9f))
      append_json_character(out, c.value, text.substr(0, c.length));
    else
      out += text.substr(0, c.length);
    text.remove_prefix(c.length == 0 ? 1 : c.length);
  }
  return out;
}

std::string terminal_line(std::string_view kind, std::string_view text) {
  return "nexcage: " + std::string(kind) + ": " + terminal_safe(text) + '\n';
}

std::string terminal_frames(const Error& error) {
  std::string out;
  for (const Frame& frame : error.frames())
    out += terminal_line("debug", "  " + frame.text + " [" + frame.where.file_name() + ':' +
                                      std::to_string(frame.where.line()) + ']');
  return out;
}

void record(Level level, std::string_view text) {
  if (!enabled(level)) return;
  if (state().file)
    write_record(state().file.get(), file_record(level, text, nullptr));
  else
    write_record(STDERR_FILENO, terminal_line(level_name(level), text));
}

}  // namespace

Result<> open(const Settings& settings) {
  UniqueFd file;
  if (!settings.file.empty()) {
    // O_NOCTTY: the file may be a terminal. Not O_EXCL: engines give us a file of their own.
    file.reset(
        ::open(settings.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
    if (!file)
      return fail(Error::from_errno(Errc::FileError, errno, "open log file " + settings.file));
  }
  state().settings = settings;
  state().file = std::move(file);
  return {};
}

bool enabled(Level level) { return level >= state().settings.minimum; }

void debug(std::string_view text) { record(Level::debug, text); }
void info(std::string_view text) { record(Level::info, text); }
void warning(std::string_view text) { record(Level::warning, text); }

void already_shown(std::string reason) { state().shown = std::move(reason); }

void error(const Error& error) {
  const std::string message = error.message();
  const bool again = error.frames().front().text == state().shown && !enabled(Level::debug);
  std::string shown = again ? "" : terminal_line("error", message);
  if (state().file) {
    write_record(state().file.get(), file_record(Level::error, message, &error));
    write_record(STDERR_FILENO, shown);
    return;
  }
  for (const Error& other : error.also()) shown += terminal_line("also", other.message());
  if (enabled(Level::debug)) shown += terminal_frames(error);
  if (!error.hint().empty()) shown += terminal_line("hint", error.hint());
  write_record(STDERR_FILENO, shown);
}

std::string json_escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.length == 0)
      out += "\xef\xbf\xbd";
    else
      append_json_character(out, c.value, text.substr(0, c.length));
    text.remove_prefix(c.length == 0 ? 1 : c.length);
  }
  return out;
}

}  // namespace nexcage::log
