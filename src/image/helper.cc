#include "nexcage/image/helper.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::image {

namespace {

constexpr int kRequestFd = 3;
constexpr int kAnswerFd = 4;
constexpr std::size_t kMaxAnswer = 64u << 20;

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{.read = UniqueFd(ends[0]), .write = UniqueFd(ends[1])};
}

std::string ending(int status) {
  if (WIFSIGNALED(status)) return "was killed by " + sys::signal_name(WTERMSIG(status));
  return "ended with status " + std::to_string(WEXITSTATUS(status)) + " and without an answer";
}

Error wrapped(Error error, std::string text) { return std::move(error).wrap(std::move(text)); }

/// {"ok": ANSWER} or {"error": ERROR}.
Result<json::Value> open_answer(const std::string& text, int status, const std::string& program) {
  auto answer = json::parse(text, {.max_bytes = kMaxAnswer});
  const json::Value* error = answer ? answer->find("error") : nullptr;
  if (error != nullptr) return fail(error_from_json(*error));
  const json::Value* good = answer ? answer->find("ok") : nullptr;
  if (good == nullptr) return fail(Errc::FileError, program + " " + ending(status));
  return *good;
}

}  // namespace

Result<json::Value> call_helper(const std::string& libexec_dir, std::string_view subcommand,
                                const json::Value& request) {
  std::string program = libexec_dir + "/image";
  NX_TRY(UniqueFd request_fd, sys::sealed_data(json::dump(request), "nexcage-request"));
  NX_TRY(Pipe answer, make_pipe());
  NX_TRY(UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_RDONLY));
  sys::Command command;
  command.argv = {program, std::string(subcommand)};
  command.inherit_env = true;
  command.fds = {{null.get(), 0}, {request_fd.get(), kRequestFd}, {answer.write.get(), kAnswerFd}};
  command.die_with_parent = true;
  NX_TRY(sys::Child child, sys::Child::spawn(command));
  answer.write.reset();  // so that the end of the helper is the end of the answer
  NX_TRY(std::string text, sys::read_all(answer.read.get(), kMaxAnswer), "read from " + program);
  NX_TRY(int status, child.wait());
  return open_answer(text, status, program);
}

json::Value error_to_json(const Error& error) {
  json::Array frames;
  for (const Frame& frame : error.frames()) frames.emplace_back(frame.text);
  json::Object out;
  out.set("code", errc_name(error.code()));
  out.set("errno", error.sys_errno());
  out.set("frames", std::move(frames));
  out.set("hint", error.hint());
  return out;
}

Error error_from_json(const json::Value& value) {
  Errc code = errc_from_name(value.text("code"), Errc::FileError);
  const json::Value* number = value.find("errno");
  int saved_errno = number != nullptr ? static_cast<int>(number->as_i64().value_or(0)) : 0;
  const json::Value* member = value.find("frames");
  const json::Array* frames = member != nullptr ? member->if_array() : nullptr;
  std::string first = frames != nullptr && !frames->empty() ? frames->front().text() : "";
  Error error = Error::from_errno(code, saved_errno, std::move(first));
  for (std::size_t i = 1; frames != nullptr && i < frames->size(); ++i)
    error = wrapped(std::move(error), (*frames)[i].text());
  std::string hint = value.text("hint");
  if (hint.empty()) return error;
  return std::move(error).hint(std::move(hint));
}

}  // namespace nexcage::image
