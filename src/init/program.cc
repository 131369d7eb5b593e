// The working directory and the program: found before "ready", so that their errors belong to
// create and exec, where callers look for them.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>

#include "nexcage/base/text.h"
#include "nexcage/init/context.h"

namespace nexcage::init {
namespace {

/// getcwd(2) of the kernel, not of libc: it marks a directory outside of the root, which a leaked
/// descriptor could lead to (CVE-2024-21626).
Result<> check_cwd_inside() {
  std::array<char, PATH_MAX> buffer{};
  if (::syscall(SYS_getcwd, buffer.data(), buffer.size()) < 0)
    return fail_errno("current directory");
  if (buffer[0] != '/')
    return fail(Errc::InvalidSpec, "the current directory is outside of the container");
  return {};
}

std::string chdir_text(const std::string& cwd) {
  return "chdir to cwd (" + quote(cwd) + ") set in config.json";
}

/// What os/exec of Go says, word for word: Podman and other engines tell "not found" (127) and "not
/// executable" (126) apart by these texts.
std::string not_runnable(const std::string& name, const std::string& path, int error) {
  std::string text = "exec: \"" + name + "\": ";
  return error == ENOENT || error == ENOTDIR ? text + "stat " + path : text + "start";
}

/// 0, or why the file cannot be executed.
int check_executable(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) < 0) return errno;
  if (S_ISDIR(info.st_mode)) return EISDIR;
  return (info.st_mode & 0111) != 0 ? 0 : EACCES;
}

std::string search_path(const std::vector<std::string>& env) {
  std::string found;
  for (const std::string& variable : env)
    if (variable.starts_with("PATH=")) found = variable.substr(5);
  return found;
}

Result<std::string> find_program(const std::string& name, const std::vector<std::string>& env) {
  if (name.find('/') != std::string::npos) {
    int error = check_executable(name);
    if (error == 0) return name;
    return fail(Error::from_errno(Errc::LXCError, error, not_runnable(name, name, error)));
  }
  int denied = 0;
  for (const std::string& dir : split(search_path(env), ':')) {
    std::string path = (dir.empty() ? "." : dir) + "/" + name;
    int error = check_executable(path);
    if (error == 0) return path;
    if (error == EACCES) denied = error;
  }
  if (denied != 0)
    return fail(Error::from_errno(Errc::PermissionDenied, denied, "exec: \"" + name + "\""));
  return fail(Errc::LXCError, "exec: \"" + name + "\": executable file not found in $PATH");
}

}  // namespace

Result<> enter_cwd(Context& context) {
  const std::string& cwd = context.plan.process.cwd;
  if (::chdir(cwd.c_str()) < 0) return fail_errno(chdir_text(cwd));
  return check_cwd_inside();
}

Result<> apply(const sys::plan::CheckProgram&, Context& context) {
  auto entered = enter_cwd(context);
  if (!entered) {
    if (entered.error().sys_errno() != EACCES) return entered;
    context.cwd_denied = true;  // a directory of the user's on a file system that keeps root out
  }
  NX_TRY(context.program, find_program(context.plan.process.args.at(0), context.plan.process.env));
  return {};
}

}  // namespace nexcage::init
