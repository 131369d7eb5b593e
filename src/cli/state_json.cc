#include "nexcage/cli/state_json.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/oci/state.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {

json::Value state_json(const backends::Record& record) {
  const oci::State& state = record.state;
  json::Object object;
  object.set("ociVersion", state.oci_version);
  object.set("id", state.id);
  object.set("pid", state.status == oci::Status::stopped ? 0 : state.pid);
  object.set("status", oci::status_name(state.status));
  object.set("bundle", state.bundle);
  object.set("rootfs", record.rootfs);
  object.set("created", record.created);
  if (!state.annotations.empty() || !record.details.empty()) {
    json::Object annotations;
    for (const auto& [key, value] : state.annotations) annotations.set(key, value);
    for (const auto& [key, value] : record.details) annotations.set(key, value);
    object.set("annotations", std::move(annotations));
  }
  object.set("owner", owner_name(record));
  object.set("backend", record.backend);
  return object;
}

std::string owner_name(const backends::Record& record) {
  struct stat info{};
  if (::stat(record.state_dir.c_str(), &info) != 0) return "";
  return user_name(info.st_uid).value_or("#" + std::to_string(info.st_uid));
}

std::optional<std::string> user_name(uid_t uid) {
  // Root is asked for most. The name service of libc would have to be loaded: this program is
  // static.
  if (uid == 0) return "root";
  const auto users = sys::read_file(AT_FDCWD, "/etc/passwd");
  if (!users) return std::nullopt;
  for (const std::string& line : split(*users, '\n')) {
    const std::vector<std::string> fields = split(line, ':');
    constexpr std::size_t kName = 0, kUid = 2;  // passwd(5)
    if (fields.size() > kUid && parse_u64(fields[kUid]) == uid) return fields[kName];
  }
  return std::nullopt;
}

}  // namespace nexcage::cli
