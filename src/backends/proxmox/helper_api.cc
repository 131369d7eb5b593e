// The API over the helper: one process, a line of JSON for each command and for each answer.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "nexcage/backends/proxmox/api.h"
#include "nexcage/backends/proxmox/local.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr int kCommandFd = 3, kAnswerFd = 4, kEventFd = 5;
constexpr std::size_t kMostLine = 64u << 20;
constexpr int kTaskSeconds = 3600;

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{.read = UniqueFd(ends[0]), .write = UniqueFd(ends[1])};
}

/// A socket for what we write: a helper that has died is an error and no signal.
Result<Pipe> make_channel() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("make a socket pair");
  return Pipe{.read = UniqueFd(ends[0]), .write = UniqueFd(ends[1])};
}

Result<> send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write to the helper");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

/// Lines out of a pipe.
class Lines {
 public:
  explicit Lines(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_ ? fd_.get() : -1; }
  /// Reads what is there; false at the end.
  Result<bool> fill() {
    std::array<char, 64u << 10> buffer;
    ssize_t n = 0;
    while ((n = ::read(fd_.get(), buffer.data(), buffer.size())) < 0)
      if (errno != EINTR) return fail_errno("read from the helper");
    if (n == 0) fd_.reset();
    text_.append(buffer.data(), static_cast<std::size_t>(n));
    if (text_.size() > kMostLine) return fail(Errc::FileError, "the helper's answer has no end");
    return n > 0;
  }
  std::optional<std::string> next() {
    const std::size_t end = text_.find('\n');
    if (end == std::string::npos) return std::nullopt;
    std::string line = text_.substr(0, end);
    text_.erase(0, end + 1);
    return line;
  }

 private:
  UniqueFd fd_;
  std::string text_;
};

Error error_of(const json::Value& value) {
  const json::Value* frames = value.find("frames");
  const json::Array* list = frames != nullptr ? frames->if_array() : nullptr;
  const Errc code = errc_from_name(value.text("code"), Errc::ProxmoxError);
  std::string reason = list != nullptr && !list->empty() ? list->front().text() : "no reason given";
  const json::Value* number = value.find("errno");
  const auto err = static_cast<int>(number != nullptr ? number->as_i64().value_or(0) : 0);
  Error error =
      err != 0 ? Error::from_errno(code, err, std::move(reason)) : Error(code, std::move(reason));
  for (std::size_t i = 1; list != nullptr && i < list->size(); ++i)
    error = std::move(error).wrap((*list)[i].text());
  if (std::string hint = value.text("hint"); !hint.empty())
    error = std::move(error).hint(std::move(hint));
  return error;
}

void show(const std::string& line) {
  const auto event = json::parse(line);
  if (!event) return;
  const std::string text = event->text("line");
  if (text.starts_with("TASK ")) return;
  log::info("proxmox: " + text);
}

class HelperApi final : public Api {
 public:
  /// `node`: of this machine, when that is how the cluster is reached.
  HelperApi(std::string program, ProxmoxSetup setup, std::string node)
      : program_(std::move(program)), setup_(std::move(setup)), node_(std::move(node)) {}

  Result<json::Value> call(const std::string& method, const std::string& path,
                           const pve::Params& params) override {
    json::Object values;
    for (const auto& [name, value] : params) values.append(name, value);
    json::Object command;
    command.set("op", "call");
    command.set("method", method);
    command.set("path", path);
    command.set("params", std::move(values));
    return ask(command);
  }

  Result<> wait(const std::string& upid) override {
    json::Object command;
    command.set("op", "wait");
    command.set("upid", upid);
    command.set("seconds", kTaskSeconds);
    NX_TRY(const json::Value done, ask(command));
    const json::Value* warnings = done.find("warnings");
    if (warnings != nullptr && warnings->if_array() != nullptr)
      for (const json::Value& line : *warnings->if_array()) log::warning("proxmox: " + line.text());
    return {};
  }

  Result<> upload(const std::string& node, const std::string& storage, const File& file) override {
    json::Object command;
    command.set("op", "upload");
    command.set("path", "/nodes/" + node + "/storage/" + storage + "/upload");
    command.set("file", file.path);
    command.set("name", file.name);
    command.set("content", file.content);
    command.set("sha256", file.sha256);
    NX_TRY(const json::Value upid, ask(command));
    return wait(upid.text());
  }

  Result<sys::Child> spawn(const json::Value& command) override;
  std::string node() const override { return node_; }
  std::string place() const override {
    return node_.empty() ? "https://" + setup_.hosts : "this node";
  }

 private:
  Result<json::Value> ask(const json::Value& command) {
    if (!answers_) NX_CHECK(start(), "start " + program_);
    return exchange(command);
  }
  Result<> start();
  Result<> set_secrets(sys::Command& command) const;
  Result<json::Value> first_words() const;
  Result<json::Value> exchange(const json::Value& command);
  Result<std::string> read_answer();

  std::string program_;
  ProxmoxSetup setup_;
  std::string node_;
  std::optional<sys::Child> child_;
  UniqueFd commands_;
  std::optional<Lines> answers_, events_;
};

json::Array words(const std::string& text) {
  json::Array out;
  for (const std::string& part : split(text, ','))
    if (const std::string_view word = trim(part); !word.empty()) out.emplace_back(word);
  return out;
}

Result<> HelperApi::start() {
  // The helper may read from there only if it exists when it starts.
  if (!setup_.work.empty()) NX_CHECK(sys::mkdirs(setup_.work, 0700));
  NX_TRY(Pipe commands, make_channel());
  NX_TRY(Pipe answers, make_pipe());
  NX_TRY(Pipe events, make_pipe());
  sys::Command command;
  command.argv = {program_};
  NX_CHECK(set_secrets(command));
  command.fds = {{commands.read.get(), kCommandFd},
                 {answers.write.get(), kAnswerFd},
                 {events.write.get(), kEventFd}};
  command.die_with_parent = true;
  NX_TRY(child_, sys::Child::spawn(command));
  commands_ = std::move(commands.write);
  answers_.emplace(std::move(answers.read));
  events_.emplace(std::move(events.read));
  commands.read.reset();
  answers.write.reset();
  events.write.reset();
  NX_TRY(const json::Value first, first_words());
  auto opened = exchange(first);
  if (opened) return {};
  answers_.reset();
  return fail(std::move(opened).error());
}

/// Of a node itself: a ticket, which the helper takes for a password, and nothing else.
Result<> HelperApi::set_secrets(sys::Command& command) const {
  command.inherit_env = node_.empty();
  if (command.inherit_env) return {};
  NX_TRY(const std::string ticket, local_ticket());
  command.env = {"NEXCAGE_PVE_PASSWORD=" + ticket};
  return {};
}

Result<json::Value> HelperApi::first_words() const {
  json::Object open;
  open.set("readable", json::Array{setup_.work});
  if (node_.empty()) {
    open.set("hosts", words(setup_.hosts));
    open.set("token_file", setup_.token_file);
    open.set("user", setup_.user);
    open.set("password_file", setup_.password_file);
    open.set("ca_file", setup_.ca_file);
    open.set("fingerprints", words(setup_.fingerprint));
    return json::Value(std::move(open));
  }
  NX_TRY(std::string certificate, local_certificate());
  open.set("hosts", json::Array{kLocalHost});
  open.set("user", "root@pam");
  open.set("certificate_file", std::move(certificate));
  return json::Value(std::move(open));
}

Result<sys::Child> HelperApi::spawn(const json::Value& job) {
  NX_TRY(const json::Value first, first_words());
  NX_TRY(const UniqueFd words,
         sys::sealed_data(json::dump(first) + "\n" + json::dump(job) + "\n", "pve-exec"));
  sys::Command command;
  command.argv = {program_, "exec"};
  NX_CHECK(set_secrets(command));
  command.fds = {{words.get(), kCommandFd}};
  return sys::Child::spawn(command);
}

Result<std::string> HelperApi::read_answer() {
  while (true) {
    while (const auto line = events_->next()) show(*line);
    if (auto line = answers_->next()) return *std::move(line);
    std::array<pollfd, 2> ends = {{{.fd = answers_->fd(), .events = POLLIN, .revents = 0},
                                   {.fd = events_->fd(), .events = POLLIN, .revents = 0}}};
    if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR)
      return fail_errno("wait for the helper");
    if (ends[1].revents != 0) NX_CHECK(events_->fill());
    if (ends[0].revents == 0) continue;
    NX_TRY(const bool more, answers_->fill());
    if (!more) return fail(Errc::ProxmoxError, program_ + " ended without an answer");
  }
}

Result<json::Value> HelperApi::exchange(const json::Value& command) {
  NX_CHECK(send_all(commands_.get(), json::dump(command) + "\n"));
  NX_TRY(const std::string line, read_answer());
  NX_TRY(const json::Value answer, json::parse(line, {.max_bytes = kMostLine}));
  if (const json::Value* error = answer.find("error")) return fail(error_of(*error));
  const json::Value* good = answer.find("ok");
  return good != nullptr ? *good : json::Value();
}

}  // namespace

Result<std::unique_ptr<Api>> open_api(const std::string& libexec, const ProxmoxSetup& setup) {
  std::string node;
  if (setup.hosts.empty()) {
    NX_TRY(auto found, local_node());
    if (found && (!setup.token_file.empty() || !setup.user.empty()))
      return fail(Error(Errc::ConfigError, "a way to log in is configured, and no host")
                      .hint("set proxmox.hosts; or leave out proxmox.token_file and proxmox.user, "
                            "and this node is asked as root@pam"));
    if (!found)
      return fail(
          Error(Errc::ConfigError,
                "no host of Proxmox VE is configured, and this machine is no node of a cluster")
              .hint("set proxmox.hosts and proxmox.token_file in the configuration"));
    node = *std::move(found);
  }
  return std::make_unique<HelperApi>(libexec + "/pve", setup, std::move(node));
}

}  // namespace nexcage::backends::proxmox
