#include "nexcage/runtime/hooks.h"

#include <chrono>
#include <string_view>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/process.h"

namespace nexcage::runtime {
namespace {

using backends::HookPoint;

// A hook without a time limit may take its time; a day keeps the arithmetic of poll(2) in range.
constexpr std::chrono::hours kNoLimit{24};
constexpr std::size_t kMaxOutput = 64U << 10;
constexpr std::size_t kShownOutput = 512;

std::string last_of(std::string_view text) {
  text = trim(text);
  if (text.size() > kShownOutput) text.remove_prefix(text.size() - kShownOutput);
  return std::string(text);
}

sys::Command command_of(const oci::Hook& hook, const std::string& cwd) {
  sys::Command command;
  // execv semantics: the path is executed, args[0] is only what the program sees as its name.
  command.program = hook.path;
  command.argv = hook.args.empty() ? std::vector<std::string>{hook.path} : hook.args;
  command.env = hook.env;
  command.cwd = cwd;
  command.new_process_group = true;
  command.die_with_parent = true;  // a runtime that is killed leaves no hook behind
  return command;
}

Result<> run_hook(const oci::Hook& hook, const std::string& state, const std::string& cwd,
                  int default_timeout) {
  const int seconds = hook.timeout.value_or(default_timeout);
  const std::chrono::milliseconds limit =
      seconds > 0 ? std::chrono::milliseconds(std::chrono::seconds(seconds))
                  : std::chrono::milliseconds(kNoLimit);
  auto output = sys::run(command_of(hook, cwd), state, limit, kMaxOutput);
  if (!output) {
    if (output.error().code() == Errc::Timeout)
      return fail(std::move(output)
                      .error()
                      .as(Errc::HookError)
                      .wrap(hook.path + ": timeout of " + std::to_string(seconds) + " s exceeded"));
    return fail(std::move(output).error().as(Errc::HookError).wrap("run " + hook.path));
  }
  const int code = sys::exit_code(output->status);
  if (code == 0) return {};
  std::string text = hook.path + ": exit status " + std::to_string(code);
  const std::string said = last_of(output->err.empty() ? output->out : output->err);
  if (!said.empty()) text += ", output: " + said;
  return fail(Errc::HookError, std::move(text));
}

std::string context(HookPoint point, std::size_t index) {
  return std::string(backends::hook_point_name(point)) + " hook #" + std::to_string(index);
}

}  // namespace

const std::vector<oci::Hook>& hooks_of(const oci::Hooks& hooks, HookPoint point) {
  switch (point) {
    case HookPoint::prestart:
      return hooks.prestart;
    case HookPoint::create_runtime:
      return hooks.create_runtime;
    case HookPoint::create_container:
      return hooks.create_container;
    case HookPoint::start_container:
      return hooks.start_container;
    case HookPoint::poststart:
      return hooks.poststart;
    case HookPoint::poststop:
      break;
  }
  return hooks.poststop;
}

Result<> run_hooks(const oci::Hooks& hooks, HookPoint point, const oci::State& state,
                   int default_timeout) {
  const auto& list = hooks_of(hooks, point);
  if (list.empty()) return {};
  const std::string text = json::dump(oci::to_json(state));
  for (std::size_t i = 0; i < list.size(); ++i)
    NX_CHECK(run_hook(list[i], text, state.bundle, default_timeout), context(point, i));
  return {};
}

void run_hooks_logging(const oci::Hooks& hooks, HookPoint point, const oci::State& state,
                       int default_timeout) {
  const auto& list = hooks_of(hooks, point);
  if (list.empty()) return;
  const std::string text = json::dump(oci::to_json(state));
  for (std::size_t i = 0; i < list.size(); ++i)
    if (auto done = run_hook(list[i], text, state.bundle, default_timeout); !done)
      log::warning(std::move(done).error().wrap(context(point, i)).message());
}

bool poststart_is_fatal(const std::string& oci_version) {
  // "1.3.0", "1.3.0-dev", "1.10.0": the minor number decides; parse_spec has checked the form.
  const auto parts = split(oci_version, '.');
  if (parts.size() < 2) return false;
  const auto minor = parse_u64(std::string_view(parts[1]).substr(0, parts[1].find('-')));
  return minor.value_or(0) >= 3;
}

}  // namespace nexcage::runtime
