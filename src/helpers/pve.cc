// libexec/nexcage/pve: speaks to the API of Proxmox VE for the front. Commands come as lines of
// JSON on descriptor 3, answers go as lines to descriptor 4, lines of tasks' logs to 5 if it is
// open (docs/proxmox-helper.md). The first command says how the cluster is reached. `pve exec` does
// one command, and then stands for a process in a guest.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include "nexcage/helpers/confine.h"
#include "nexcage/image/helper.h"
#include "nexcage/pve/client/guest_exec.h"
#include "nexcage/pve/client/session.h"
#include "nexcage/sys/fs.h"

namespace {

using nexcage::Errc;
using nexcage::Result;
namespace json = nexcage::json;
namespace client = nexcage::pve::client;

constexpr int kCommandFd = 3, kAnswerFd = 4, kEventFd = 5;
constexpr int kUsage = 2;
constexpr int kExecFailed = 125;
constexpr std::size_t kMostLine = 8u << 20;

/// Lines from the front; nullopt at the end.
class Commands {
 public:
  Result<std::optional<json::Value>> next() {
    std::size_t end = 0;
    while ((end = text_.find('\n')) == std::string::npos) {
      std::array<char, 64u << 10> buffer;
      const ssize_t n = ::read(kCommandFd, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return nexcage::fail_errno("read a command");
      if (n == 0) return std::nullopt;
      text_.append(buffer.data(), static_cast<std::size_t>(n));
      if (text_.size() > kMostLine) return nexcage::fail(Errc::InvalidJson, "a command has no end");
    }
    auto command = json::parse(std::string_view(text_).substr(0, end), {.max_bytes = kMostLine});
    text_.erase(0, end + 1);
    if (!command) return nexcage::fail(std::move(command).error());
    return std::optional(*std::move(command));
  }

 private:
  std::string text_;
};

Result<> answer(const Result<json::Value>& result) {
  json::Object message;
  if (result)
    message.set("ok", *result);
  else
    message.set("error", nexcage::image::error_to_json(result.error()));
  return nexcage::sys::write_all(kAnswerFd, json::dump(std::move(message)) + "\n");
}

/// Secrets and certificates are read, then the process may only speak to the network and read what
/// is to be uploaded.
Result<std::unique_ptr<client::Connection>> open_connection(const json::Value& request) {
  NX_TRY(client::Access access, client::read_access(request));
  NX_CHECK(nexcage::registry::client::load_http());
  if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return nexcage::fail_errno("ignore SIGPIPE");
  nexcage::helpers::Confinement keep{.read_only = nexcage::helpers::network_files(),
                                     .read_write = {},
                                     .capabilities = 0,
                                     .network = nexcage::helpers::Network::client};
  for (const std::string& path : access.readable) keep.read_only.push_back(path);
  NX_CHECK(nexcage::helpers::confine(keep), "confine the client");
  return client::Connection::create(std::move(access));
}

void tell(const json::Value& event) {
  if (::fcntl(kEventFd, F_GETFD) < 0) return;
  (void)nexcage::sys::write_all(kEventFd, json::dump(event) + "\n");
}

Result<> serve() {
  Commands commands;
  NX_TRY(const auto first, commands.next());
  if (!first) return {};
  auto connection = open_connection(*first);
  if (!connection) return answer(nexcage::fail(std::move(connection).error()));
  NX_CHECK(answer(json::Value(true)));
  client::Session session(**connection, &tell);
  while (true) {
    NX_TRY(const auto command, commands.next());
    if (!command) return {};
    NX_CHECK(answer(session.run(*command)));
  }
}

/// `pve exec`: two commands, how the cluster is reached and what is to be executed in a guest. This
/// process stands for that one.
Result<int> execute() {
  Commands commands;
  NX_TRY(const auto first, commands.next());
  NX_TRY(const auto job, commands.next());
  if (!first || !job) return nexcage::fail(Errc::InvalidJson, "commands are missing");
  NX_TRY(const auto connection, open_connection(*first));
  NX_TRY(const client::Executed done, client::execute_in_guest(*connection, *job));
  NX_CHECK(nexcage::sys::write_all(STDOUT_FILENO, done.out), "write the output");
  NX_CHECK(nexcage::sys::write_all(STDERR_FILENO, done.err), "write the output");
  if (done.is_truncated)
    (void)std::fputs("nexcage: warning: the agent has dropped what was too much output\n", stderr);
  return done.code;
}

int run_exec() {
  auto code = execute();
  if (code) return *code;
  (void)std::fprintf(stderr, "nexcage: error: exec: %s\n", code.error().message().c_str());
  return kExecFailed;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_exec = argc == 2 && std::string_view(argv[1]) == "exec";
  if (::fcntl(kCommandFd, F_GETFD) < 0 || (!is_exec && ::fcntl(kAnswerFd, F_GETFD) < 0)) {
    (void)std::fputs("This is a helper of nexcage and not meant to be run by hand.\n", stderr);
    return kUsage;
  }
  if (is_exec) return run_exec();
  if (auto served = serve(); !served) {
    (void)std::fprintf(stderr, "%s\n", served.error().message().c_str());
    return 1;
  }
  return 0;
}
