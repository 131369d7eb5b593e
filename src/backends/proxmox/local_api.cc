// The API on a node itself: pvesh, as root@pam, without HTTP.
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

class LocalApi final : public Api {
 public:
  Result<json::Value> call(const std::string& method, const std::string& path,
                           const pve::Params& params) override {
    sys::Command command;
    command.argv = {"pvesh", verb_of(method), path};
    for (const auto& [name, value] : params) {
      command.argv.push_back("--" + name);
      command.argv.push_back(value);
    }
    command.argv.insert(command.argv.end(), {"--output-format", "json"});
    command.inherit_env = true;
    NX_TRY(command.program, sys::find_program("pvesh"));
    NX_TRY(const sys::Output output, sys::run(command, "", kCommandLimit));
    const std::string doing = method + " " + path;
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
    while (true) {
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
  }

  Result<> upload(const std::string& node, const std::string& storage, const File& file) override {
    // The API has no upload without HTTP: the storage says where its files lie.
    const std::string volume = storage + ":" + file.content + "/" + file.name;
    sys::Command path;
    path.argv = {"pvesm", "path", volume};
    path.inherit_env = true;
    NX_TRY(path.program, sys::find_program("pvesm"));
    NX_TRY(const sys::Output where, sys::run(path, "", kCommandLimit));
    if (sys::exit_code(where.status) != 0)
      return fail(Errc::ProxmoxError, "pvesm path " + volume + ": " + reason_of(where.err));
    const std::string target(trim(where.out));
    sys::Command copy;
    copy.argv = {"cp", "--no-preserve=all", "--", file.path, target + ".nexcage"};
    copy.inherit_env = true;
    NX_TRY(copy.program, sys::find_program("cp"));
    NX_TRY(const sys::Output copied, sys::run(copy, "", kCommandLimit));
    if (sys::exit_code(copied.status) != 0)
      return fail(Errc::ProxmoxError,
                  "copy to storage " + storage + " of node " + node + ": " + reason_of(copied.err));
    if (::rename((target + ".nexcage").c_str(), target.c_str()) != 0)
      return fail_errno("name " + target);
    return {};
  }

  bool is_local() const override { return true; }
  std::string place() const override { return "this node"; }
};

}  // namespace

std::unique_ptr<Api> local_api() { return std::make_unique<LocalApi>(); }

}  // namespace nexcage::backends::proxmox
