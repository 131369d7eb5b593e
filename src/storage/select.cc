#include "nexcage/storage/select.h"

#include <algorithm>
#include <string_view>

#include "nexcage/base/text.h"

namespace nexcage::storage {
namespace {

constexpr std::string_view kAnnotation = "proxmox.storage";

std::string_view origin_text(Origin origin) {
  switch (origin) {
    case Origin::annotation:
      return "annotation proxmox.storage";
    case Origin::root_mount:
      return "mount on /";
    case Origin::configuration:
      return "configuration [storage] default";
  }
  return "";
}

Result<Choice> parse_choice(const std::string& word, Origin origin) {
  const std::string from(origin_text(origin));
  if (word == "local") return Choice{Kind::local, "", origin};
  if (word.starts_with("dir:")) {
    std::string path = word.substr(4);
    if (!path.starts_with('/') || path.find('\0') != std::string::npos)
      return fail(Errc::ConfigError, from + ": storage " + quote(word) + " needs an absolute path");
    return Choice{Kind::directory, std::move(path), origin};
  }
  return fail(Error(Errc::ConfigError, from + ": storage " + quote(word) + " is not available")
                  .hint("use \"local\" or \"dir:/absolute/path\""));
}

}  // namespace

bool is_root_mount(const oci::Mount& mount) {
  return mount.destination == "/" &&
         (mount.source.starts_with("zfs:") || mount.source.starts_with("dir:"));
}

Result<Choice> select(const oci::Spec& spec, const std::string& configured) {
  if (auto it = spec.annotations.find(std::string(kAnnotation)); it != spec.annotations.end())
    return parse_choice(it->second, Origin::annotation);
  auto mount = std::ranges::find_if(spec.mounts, is_root_mount);
  if (mount != spec.mounts.end()) return parse_choice(mount->source, Origin::root_mount);
  return parse_choice(configured.empty() ? "local" : configured, Origin::configuration);
}

}  // namespace nexcage::storage
