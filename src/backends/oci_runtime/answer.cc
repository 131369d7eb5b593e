#include "nexcage/backends/oci_runtime/answer.h"

#include <sys/wait.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::oci_runtime {
namespace {

log::Level level_of(std::string_view name) {
  if (name == "debug" || name == "trace") return log::Level::debug;
  if (name == "info") return log::Level::info;
  if (name == "warning" || name == "warn") return log::Level::warning;
  return log::Level::error;
}

Said parse_record(std::string_view line) {
  const auto record = json::parse(line);
  const json::Value* text = record ? record->find("msg") : nullptr;
  if (text == nullptr || text->if_string() == nullptr)
    return {log::Level::error, std::string(line)};
  return {level_of(record->text("level")), text->text()};
}

bool has(std::string_view text, std::string_view words) {
  return text.find(words) != std::string_view::npos;
}

Errc code_of(std::string_view text) {
  if (has(text, "already exists") || has(text, "already exist")) {
    if (has(text, "container")) return Errc::ContainerExists;
  }
  if (has(text, "running") && has(text, " hook")) return Errc::HookError;  // runc
  if (has(text, "executing hook") || has(text, "hook `")) return Errc::HookError;
  return Errc::RuntimeError;
}

std::string ending(int wait_status) {
  if (WIFSIGNALED(wait_status)) return "killed by " + sys::signal_name(WTERMSIG(wait_status));
  return "exit status " + std::to_string(sys::exit_code(wait_status));
}

}  // namespace

std::vector<Said> parse_log(std::string_view text) {
  std::vector<Said> said;
  for (const std::string& line : split(text, '\n'))
    if (!trim(line).empty()) said.push_back(parse_record(trim(line)));
  return said;
}

Error error_of(std::string_view runtime, std::string_view verb, const std::vector<Said>& said,
               int wait_status) {
  // The last error is the one that ended it, for the containerd shim as well.
  const auto backwards = said | std::views::reverse;
  const auto last = std::ranges::find(backwards, log::Level::error, &Said::level);
  std::string name(runtime);
  name += " " + std::string(verb);
  if (last == backwards.end() || WIFSIGNALED(wait_status))
    return Error(Errc::RuntimeError, name + ": " + ending(wait_status));
  const Errc code = code_of(last->text);
  // runc says itself who failed: "runc create failed: ...".
  if (last->text.starts_with(name)) return Error(code, last->text);
  return Error(code, name + ": " + last->text);
}

}  // namespace nexcage::backends::oci_runtime
