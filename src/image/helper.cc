#include "nexcage/image/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::image {

namespace {

constexpr int kRequestFd = 3;
constexpr int kAnswerFd = 4;
constexpr int kEventFd = 5;
constexpr std::size_t kMaxAnswer = 64u << 20;
constexpr int kTick = 250;                   // ms
constexpr std::size_t kMaxEvent = 4u << 20;  // the layers of the largest manifest that is allowed

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

/// Bytes that came, cut into lines; what is no JSON object, or longer than any event, is nothing.
class Events {
 public:
  explicit Events(const OnEvent& tell) : tell_(tell) {}
  void add(std::string_view bytes) {
    text_ += bytes;
    std::size_t begin = 0;
    for (std::size_t end; (end = text_.find('\n', begin)) != std::string::npos; begin = end + 1)
      line(std::string_view(text_).substr(begin, end - begin));
    text_.erase(0, begin);
    if (text_.size() > kMaxEvent) text_.clear();
  }

 private:
  void line(std::string_view text) {
    auto event = json::parse(text, {.max_bytes = kMaxEvent});
    if (event && event->if_object() != nullptr) tell_(*event);
  }
  const OnEvent& tell_;
  std::string text_;
};

/// Up to 64 KiB of what is there; empty at the end.
Result<std::string> read_some(int fd) {
  std::array<char, 64u << 10> buffer;
  ssize_t n = 0;
  while ((n = ::read(fd, buffer.data(), buffer.size())) < 0)
    if (errno != EINTR) return fail_errno("read from the image helper");
  return std::string(buffer.data(), static_cast<std::size_t>(n));
}

/// Reads events and the answer side by side until the helper has closed both.
Result<std::string> read_both(UniqueFd answer, UniqueFd events, const HelperStreams& streams) {
  std::string text;
  Events lines(streams.on_event);
  while (answer || events) {
    std::array<pollfd, 2> ends = {
        {{.fd = answer ? answer.get() : -1, .events = POLLIN, .revents = 0},
         {.fd = events ? events.get() : -1, .events = POLLIN, .revents = 0}}};
    const int ready = ::poll(ends.data(), ends.size(), streams.on_tick ? kTick : -1);
    if (ready < 0 && errno != EINTR) return fail_errno("wait for the image helper");
    if (ready <= 0) {
      if (streams.on_tick) streams.on_tick();
      continue;
    }
    if (ends[0].revents != 0) {
      NX_TRY(std::string part, read_some(answer.get()));
      if (part.empty()) answer.reset();
      if (text.size() + part.size() > kMaxAnswer)
        return fail(Errc::FileError, "the image helper's answer has no end");
      text += part;
    }
    if (ends[1].revents != 0) {
      NX_TRY(std::string part, read_some(events.get()));
      if (part.empty()) events.reset();
      lines.add(part);
    }
  }
  return text;
}

}  // namespace

Result<json::Value> call_helper(const std::string& libexec_dir, std::string_view subcommand,
                                const json::Value& request) {
  return call_helper(libexec_dir, subcommand, request, {});
}

Result<json::Value> call_helper(const std::string& libexec_dir, std::string_view subcommand,
                                const json::Value& request, const HelperStreams& streams) {
  std::string program = libexec_dir + "/image";
  NX_TRY(UniqueFd request_fd, sys::sealed_data(json::dump(request), "nexcage-request"));
  NX_TRY(Pipe answer, make_pipe());
  NX_TRY(UniqueFd null, sys::open_at(AT_FDCWD, "/dev/null", O_RDONLY));
  sys::Command command;
  command.argv = {program, std::string(subcommand)};
  command.inherit_env = true;
  command.fds = {{streams.input < 0 ? null.get() : streams.input, 0},
                 {request_fd.get(), kRequestFd},
                 {answer.write.get(), kAnswerFd}};
  if (streams.output >= 0) command.fds.emplace_back(streams.output, 1);
  Pipe events;
  if (streams.on_event) {
    NX_TRY(events, make_pipe());
    command.fds.emplace_back(events.write.get(), kEventFd);
  }
  command.die_with_parent = true;
  NX_TRY(sys::Child child, sys::Child::spawn(command));
  answer.write.reset();  // so that the end of the helper is the end of the answer
  events.write.reset();
  NX_TRY(std::string text, read_both(std::move(answer.read), std::move(events.read), streams));
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
