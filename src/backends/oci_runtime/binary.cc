#include "nexcage/backends/oci_runtime/binary.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::oci_runtime {
namespace {

constexpr std::chrono::seconds kPatience(10);
constexpr std::size_t kMaxCache = 8U << 10;

std::string hint_of(const Dialect& dialect) {
  return "install the package " + std::string(dialect.package) + ", or set path in [runtime." +
         std::string(dialect.name) + "]";
}

std::unexpected<Error> not_available(const Dialect& dialect, std::string text) {
  return fail(Error(Errc::RuntimeNotAvailable, std::move(text)).hint(hint_of(dialect)));
}

/// What changes when the file at the path does.
Result<std::string> fingerprint(const std::string& program) {
  struct stat info{};
  if (::stat(program.c_str(), &info) != 0) return fail_errno("look at " + program);
  std::string text = program;
  for (const auto part :
       {static_cast<std::uint64_t>(info.st_dev), static_cast<std::uint64_t>(info.st_ino),
        static_cast<std::uint64_t>(info.st_size), static_cast<std::uint64_t>(info.st_mtim.tv_sec),
        static_cast<std::uint64_t>(info.st_mtim.tv_nsec)})
    text += " " + std::to_string(part);
  return text + "\n";
}

Result<Version> ask_version(const Dialect& dialect, const std::string& program) {
  sys::Command command;
  command.argv = {program, "--version"};
  command.inherit_env = true;
  NX_TRY(const sys::Output output, sys::run(command, "", kPatience));
  const auto version = parse_version(dialect.name, output.out);
  if (output.status != 0 || !version)
    return not_available(dialect, program + " does not say which version of " +
                                      std::string(dialect.name) + " it is");
  return *version;
}

/// Takes a decimal number off the front.
std::optional<unsigned> take_number(std::string_view& text) {
  unsigned value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return value;
}

}  // namespace

std::optional<Version> parse_version(std::string_view runtime, std::string_view text) {
  const std::string start = std::string(runtime) + " version ";
  if (!text.starts_with(start)) return std::nullopt;
  text.remove_prefix(start.size());
  Version version;
  for (unsigned* part : {&version.major, &version.minor, &version.patch}) {
    const auto number = take_number(text);
    if (!number) return part == &version.major ? std::nullopt : std::optional(version);
    *part = *number;
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  return version;
}

std::string to_text(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

Result<std::string> find_binary(const Dialect& dialect, const std::string& configured) {
  auto found = sys::find_program(configured);
  if (found && ::access(found->c_str(), X_OK) == 0) return found;
  return not_available(dialect, "program " + quote(configured) + " is not installed");
}

Result<> check_version(const Dialect& dialect, const std::string& program,
                       const std::string& cache_file) {
  NX_TRY(const std::string now, fingerprint(program));
  if (auto known = sys::read_file(AT_FDCWD, cache_file, kMaxCache); known && *known == now)
    return {};
  NX_TRY(const Version version, ask_version(dialect, program));
  if (version < dialect.minimum)
    return not_available(dialect, program + " is version " + to_text(version) + ", but " +
                                      to_text(dialect.minimum) + " or newer is needed");
  // Only speed depends on it.
  if (auto kept = sys::write_file_atomic(cache_file, now, 0600, sys::Durable::no); !kept)
    log::debug(kept.error().message());
  return {};
}

Result<> check_checkpoint(const Dialect& dialect, const std::string& program) {
  sys::Command command;
  command.argv = {program, "checkpoint", "--help"};
  command.inherit_env = true;
  NX_TRY(const sys::Output output, sys::run(command, "", kPatience));
  if (output.status == 0) return {};
  return fail(Error(Errc::Unsupported,
                    "this build of " + std::string(dialect.name) + " has no checkpoint and restore")
                  .hint("install one that was built with CRIU, or run the container on runc"));
}

}  // namespace nexcage::backends::oci_runtime
