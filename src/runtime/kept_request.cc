#include "nexcage/runtime/kept_request.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/runtime/kept_source.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

using backends::CgroupManager;

constexpr std::array<std::pair<std::string_view, CgroupManager>, 3> kManagers = {
    {{"cgroupfs", CgroupManager::cgroupfs},
     {"systemd", CgroupManager::systemd},
     {"disabled", CgroupManager::disabled}}};

std::string_view manager_name(CgroupManager manager) {
  for (const auto& [name, one] : kManagers)
    if (one == manager) return name;
  return {};
}

Result<CgroupManager> parse_manager(const std::string& text) {
  for (const auto& [name, one] : kManagers)
    if (name == text) return one;
  return fail(Errc::InvalidJson, "/options/cgroup_manager: unknown value " + quote(text));
}

Result<bool> flag(const json::Value& options, std::string_view name) {
  const json::Value* member = options.find(name);
  if (member == nullptr) return false;
  if (const bool* yes = member->if_bool()) return *yes;
  return fail(Errc::InvalidJson, "/options/" + std::string(name) + ": is no boolean");
}

}  // namespace

json::Value options_to_json(const Request& request) {
  json::Object options;
  options.set("pid_file", request.pid_file);
  options.set("no_pivot", request.pivot == backends::Pivot::move_mount);
  options.set("no_new_keyring", request.keyring == backends::Keyring::inherited);
  options.set("cgroup_manager", manager_name(request.cgroup_manager));
  options.set("keep_stdin", request.keep_stdin);
  options.set("remove", request.remove_ended);
  return json::Value(std::move(options));
}

Result<Request> request_from_json(const json::Value& document) {
  Request request;
  request.id = document.text("id");
  const json::Value* options = document.find("options");
  if (options == nullptr) return request;
  request.pid_file = options->text("pid_file");
  NX_TRY(const bool no_pivot, flag(*options, "no_pivot"));
  NX_TRY(const bool no_new_keyring, flag(*options, "no_new_keyring"));
  if (no_pivot) request.pivot = backends::Pivot::move_mount;
  if (no_new_keyring) request.keyring = backends::Keyring::inherited;
  NX_TRY(request.cgroup_manager, parse_manager(options->text("cgroup_manager")));
  NX_TRY(request.keep_stdin, flag(*options, "keep_stdin"));
  NX_TRY(request.remove_ended, flag(*options, "remove"));
  return request;
}

namespace {

Result<json::Value> read_document(const std::string& file) {
  auto text = sys::read_file(AT_FDCWD, file, json::Limits{}.max_bytes);
  if (!text && text.error().sys_errno() == ENOENT)
    return fail(Error(Errc::InvalidState, file + " is missing: nothing says how it was made")
                    .hint("delete the container and run it anew"));
  if (!text) return fail(std::move(text).error());
  NX_TRY(json::Value document, json::parse(*text), file);
  return document;
}

}  // namespace

Result<Request> read_request(const std::string& bundle) {
  const std::string file = bundle + "/request.json";
  NX_TRY(const json::Value document, read_document(file));
  NX_TRY(Request request, request_from_json(document), file);
  return request;
}

Result<KeptSource> read_source(const std::string& bundle) {
  const std::string file = bundle + "/request.json";
  NX_TRY(const json::Value document, read_document(file));
  const json::Value* source = document.find("source");
  if (source == nullptr)
    return fail(Error(Errc::InvalidState,
                      "the container was made by an earlier version, which did not keep what was "
                      "asked of its image")
                    .hint("make a new container from the image"));
  KeptSource kept;
  NX_TRY(kept.source, source_from_json(*source), file);
  if (const json::Value* volumes = document.find("volumes"); volumes && volumes->if_array())
    for (const json::Value& one : *volumes->if_array()) kept.volumes.push_back(one.text());
  return kept;
}

}  // namespace nexcage::runtime
