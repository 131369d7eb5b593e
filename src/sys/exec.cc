// Becoming another program, and what that shares with starting one.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "nexcage/base/text.h"
#include "nexcage/sys/exec_parts.h"
#include "nexcage/sys/process.h"

namespace nexcage::sys {

Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  for (const std::string& dir :
       split(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':')) {
    // An empty entry means the current directory, which is never trusted.
    if (!dir.starts_with('/')) continue;
    std::string candidate = dir + '/' + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(Error::from_errno(Errc::RuntimeNotAvailable, ENOENT, "find program " + name)
                  .hint("install " + name + " or add its directory to PATH"));
}

Result<std::string> find_system_program(const std::string& name) {
  auto found = find_program(name);
  if (found) return found;
  for (const char* dir : {"/usr/sbin/", "/sbin/"})
    if (std::string candidate = dir + name; ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
  return found;
}

Result<std::string> program_of(const Command& command) {
  const std::string& name = command.program.empty() ? command.argv.front() : command.program;
  if (command.exec_fd >= 0) return name;
  return find_program(name);
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  // execve(2) promises not to change them.
  for (const std::string& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

std::vector<char*> environment(const Command& command) {
  std::vector<char*> out = pointers(command.env);
  out.pop_back();
  if (command.inherit_env)
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
      out.push_back(*entry);
  out.push_back(nullptr);
  return out;
}

Result<> become(const Command& command) {
  if (command.argv.empty()) return fail(Errc::FileError, "become a program: no arguments");
  NX_TRY(const std::string program, program_of(command));
  const std::vector<char*> argv = pointers(command.argv);
  const std::vector<char*> envp = environment(command);
  if (!command.cwd.empty() && ::chdir(command.cwd.c_str()) != 0)
    return fail_errno("change to directory " + command.cwd);
  if (command.exec_fd >= 0)
    ::fexecve(command.exec_fd, argv.data(), envp.data());
  else
    ::execve(program.c_str(), argv.data(), envp.data());
  return fail(Error::from_errno(Errc::RuntimeNotAvailable, errno, "execute " + program)
                  .hint("check that " + program + " and its interpreter are installed"));
}

}  // namespace nexcage::sys
