#include "nexcage/backends/oci_runtime/verbs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "nexcage/backends/oci_runtime/answer.h"
#include "nexcage/base/log.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::oci_runtime {
namespace {

constexpr std::size_t kMaxLog = 4U << 20;

/// A log file in memory: the runtime's standard error is the container's too, and tells nothing
/// apart.
class Log {
 public:
  static Result<Log> make() {
    NX_TRY(UniqueFd file, sys::memory_file("runtime-log"));
    NX_TRY(std::string path, path_for_others(file.get()));
    return Log(std::move(file), std::move(path));
  }
  const std::string& path() const { return path_; }
  Result<std::vector<Said>> read() const {
    if (::lseek(file_.get(), 0, SEEK_SET) != 0) return fail_errno("read the runtime's log");
    NX_TRY(const std::string text, sys::read_all(file_.get(), kMaxLog), "read the runtime's log");
    return parse_log(text);
  }

 private:
  Log(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  UniqueFd file_;
  std::string path_;
};

void pass_on(const std::vector<Said>& said) {
  for (const Said& one : said) {
    if (one.level == log::Level::debug) log::debug(one.text);
    if (one.level == log::Level::info) log::info(one.text);
    if (one.level == log::Level::warning) log::warning(one.text);
  }
}

bool has_error(const std::vector<Said>& said) {
  return std::ranges::any_of(said, [](const Said& one) { return one.level == log::Level::error; });
}

}  // namespace

sys::Command command_of(const Program& program, const Words& words) {
  sys::Command command;
  command.argv = plan_program(program);
  command.argv.insert(command.argv.end(), words.begin(), words.end());
  command.inherit_env = true;
  command.keep_all = true;
  command.reset_signals = false;
  return command;
}

Words removal_of(const std::string& id) { return {"delete", "--force", id}; }

Foreign foreign_of(const Runtime& runtime, const std::string& id) {
  Program program = runtime.program;
  program.options = {};
  return {.state_dir = runtime.state_dir(id), .remove = command_of(program, removal_of(id)).argv};
}

UniqueFd sealed_program(const Runtime& runtime) {
  constexpr off_t kMost = 4 << 20;
  if (!runtime.dialect->seals_itself || ::geteuid() != 0) return {};
  // Label and profile come with the path of what is executed.
  if (const auto selinux = sys::exists(AT_FDCWD, "/sys/fs/selinux/enforce"); !selinux || *selinux)
    return {};
  auto file = sys::open_at(AT_FDCWD, runtime.program.path, O_RDONLY);
  struct stat info{};
  std::array<char, 4> magic{};
  if (!file || ::fstat(file->get(), &info) != 0 || info.st_size > kMost ||
      ::pread(file->get(), magic.data(), magic.size(), 0) != static_cast<ssize_t>(magic.size()) ||
      std::string_view(magic.data(), magic.size()) != "\177ELF")  // a script needs its path
    return {};
  auto copy = sys::sealed_copy(file->get(), runtime.dialect->name);
  return copy ? *std::move(copy) : UniqueFd();
}

Result<std::string> path_for_others(int fd) {
  // By our pid: then nothing is inherited, for a container to find.
  NX_TRY(const std::string self, sys::read_link(AT_FDCWD, "/proc/self"));
  return "/proc/" + self + "/fd/" + std::to_string(fd);
}

Result<> run_verb(const Runtime& runtime, const Words& words,
                  const std::function<Result<>(const sys::Child&)>& started) {
  NX_TRY(const Log log, Log::make());
  Program program = runtime.program;
  program.options.log = log.path();
  program.options.log_format = "json";
  sys::Command command = command_of(program, words);
  const UniqueFd sealed = sealed_program(runtime);
  command.exec_fd = sealed.get();
  command.die_with_parent = true;
  NX_TRY(sys::Child child, sys::Child::spawn(command));
  if (started) NX_CHECK(started(child));
  NX_TRY(const int status, child.wait());
  NX_TRY(const std::vector<Said> said, log.read());
  pass_on(said);
  if (status == 0) return {};
  Error error = error_of(runtime.dialect->name, words.front(), said, status);
  // crun and runc write the error that ends them to standard error also when they have a log file.
  if (WIFEXITED(status) && has_error(said)) log::already_shown(error.frames().front().text);
  return fail(std::move(error));
}

}  // namespace nexcage::backends::oci_runtime
