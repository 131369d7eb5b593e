// The API on a node itself: pvesh, as root@pam, without HTTP.
#include <unistd.h>

#include <chrono>
#include <thread>

#include "nexcage/backends/proxmox/api.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/upid.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr std::chrono::minutes kCommandLimit{10};
constexpr std::chrono::hours kTaskLimit{1};
constexpr std::chrono::milliseconds kPause{200};

std::string verb_of(const std::string& method) {
  if (method == "POST") return "create";
  if (method == "PUT") return "set";
  return method == "DELETE" ? "delete" : "get";
}

/// The last line that says something: pvesh prints usage behind its errors.
std::string reason_of(const std::string& text) {
  const auto lines = split(text, '\n');
  for (const std::string& line : lines)
    if (!trim(line).empty()) return std::string(trim(line));
  return "no reason given";
}

/// The tools' messages are compared with English ones.
Result<sys::Command> command_of(std::vector<std::string> argv) {
  sys::Command command;
  NX_TRY(command.program, sys::find_program(argv.front()));
  command.argv = std::move(argv);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    if (!text.starts_with("LC_") && !text.starts_with("LANG")) command.env.emplace_back(text);
  }
  command.env.emplace_back("LC_ALL=C");
  return command;
}

class LocalApi final : public Api {
 public:
  explicit LocalApi(std::string node) : node_(std::move(node)) {}

  Result<json::Value> call(const std::string& method, const std::string& path,
                           const pve::Params& params) override {
    const std::string doing = method + " " + path;
    std::vector<std::string> argv = {"pvesh", verb_of(method), path};
    for (const auto& [name, value] : params) {
      // An argument ends there, and everybody on the node may read it.
      if (value.find('\0') != std::string::npos)
        return fail(Error(Errc::Unsupported, doing + ": pvesh cannot take " + name)
                        .hint("set proxmox.hosts to this node's address, and a token"));
      argv.push_back("--" + name);
      argv.push_back(value);
    }
    argv.insert(argv.end(), {"--output-format", "json"});
    NX_TRY(const sys::Command command, command_of(std::move(argv)));
    NX_TRY(const sys::Output output, sys::run(command, "", kCommandLimit));
    if (sys::exit_code(output.status) != 0)
      return fail(Errc::ProxmoxError, doing + ": " + reason_of(output.err));
    const std::string text(trim(output.out));
    if (text.empty()) return json::Value();
    // A task's name comes behind its log, and without quotes.
    const std::size_t line = text.rfind("UPID:");
    if (line != std::string::npos && text.find('"', line) == std::string::npos)
      return json::Value(trim(std::string_view(text).substr(line)));
    auto value = json::parse(text);
    return value ? std::move(value) : Result<json::Value>(json::Value(text));
  }

  Result<> wait(const std::string& text) override {
    NX_TRY(const pve::Upid upid, pve::Upid::parse(text));
    const std::string path = "/nodes/" + upid.node + "/tasks/" + upid.text + "/status";
    const auto limit = std::chrono::steady_clock::now() + kTaskLimit;
    while (std::chrono::steady_clock::now() < limit) {
      NX_TRY(const json::Value status, call("GET", path, {}));
      if (status.text("status") != "stopped") {
        std::this_thread::sleep_for(kPause);
        continue;
      }
      const pve::TaskEnd end = pve::parse_task_end(status.text("exitstatus"));
      if (!end.ok) return fail(Errc::ProxmoxError, "task " + upid.type + ": " + end.text);
      if (end.warnings > 0) log::warning("proxmox: task " + upid.type + ": " + end.text);
      return {};
    }
    return fail(Error(Errc::Timeout, "task " + upid.type + " still runs after an hour")
                    .hint("it goes on: " + upid.text));
  }

  Result<> upload(const std::string& /*node*/, const std::string& storage,
                  const File& file) override {
    return fail(Error(Errc::Unsupported,
                      "upload of " + file.name + " to storage " + storage + ": pvesh has none")
                    .hint("set proxmox.hosts to this node's address, and a token"));
  }

  bool is_local() const override { return true; }
  std::string node() const override { return node_; }
  std::string place() const override { return "this node"; }

 private:
  std::string node_;
};

}  // namespace

std::unique_ptr<Api> local_api(std::string node) {
  return std::make_unique<LocalApi>(std::move(node));
}

}  // namespace nexcage::backends::proxmox
