// The options of `create` and `run` that say how the root file system of an image is made.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/cli/create_args.h"
#include "nexcage/cli/options.h"
#include "nexcage/layerfs/layerfs.h"
#include "nexcage/storage/select.h"

namespace nexcage::cli {
namespace {

constexpr std::array<std::string_view, 3> kReadOnlyTmpfs = {"/run", "/tmp", "/var/tmp"};

/// "CONTAINER:HOST:COUNT" as Podman and Docker's user namespaces have it.
Result<oci::IdMapping> parse_id_map(const std::string& option, const std::string& text) {
  const std::vector<std::string> words = split(text, ':');
  const auto id = [](const std::string& word) -> std::optional<std::uint32_t> {
    const auto value = parse_u64(word);
    if (!value || *value >= UINT32_MAX) return std::nullopt;
    return static_cast<std::uint32_t>(*value);
  };
  if (words.size() == 3) {
    const auto inside = id(words[0]), outside = id(words[1]), count = id(words[2]);
    if (inside && outside && count && *count > 0)
      return oci::IdMapping{.container_id = *inside, .host_id = *outside, .size = *count};
  }
  return fail(Error(Errc::InvalidSpec, option + " " + quote(text) + ": expected three numbers")
                  .hint("for example " + option + " 0:100000:65536"));
}

Result<std::vector<oci::IdMapping>> parse_id_maps(const std::string& option,
                                                  const std::vector<std::string>& texts) {
  std::vector<oci::IdMapping> mappings;
  for (const std::string& text : texts) {
    NX_TRY(oci::IdMapping mapping, parse_id_map(option, text));
    mappings.push_back(mapping);
  }
  return mappings;
}

Result<> check_driver(const std::string& name) {
  std::vector<std::string> known = layerfs::driver_names();
  known.emplace_back("auto");
  if (std::ranges::find(known, name) != known.end()) return {};
  return fail(Error(Errc::InvalidSpec, "--layerfs " + quote(name) + ": unknown driver")
                  .hint("One of: " + join(known, ", ")));
}

/// On top of the read-only root, below what the command line mounts there itself.
void add_tmpfs(std::vector<oci::Mount>& mounts) {
  std::vector<oci::Mount> all;
  for (const std::string_view place : kReadOnlyTmpfs) {
    oci::Mount mount;
    mount.destination = place;
    mount.type = "tmpfs";
    mount.source = "tmpfs";
    mount.options = {"rw", "nosuid", "nodev", place == "/run" ? "mode=755" : "mode=1777"};
    all.push_back(std::move(mount));
  }
  for (oci::Mount& mount : mounts) all.push_back(std::move(mount));
  mounts = std::move(all);
}

}  // namespace

Result<> CreateArgs::root_file_system(runtime::ImageSource& source) const {
  if (!layerfs.empty()) {
    NX_CHECK(check_driver(layerfs));
    source.annotations[storage::kLayerfsAnnotation] = layerfs;
  }
  if (!storage.empty()) source.annotations[storage::kStorageAnnotation] = storage;
  if (!storage_size.empty()) {
    NX_TRY(const std::uint64_t bytes, parse_bytes(storage_size), "--storage-size");
    source.annotations[storage::kSizeAnnotation] = std::to_string(bytes);
  }
  if (!raw.empty()) {
    NX_CHECK(storage::raw::parse_file_system(raw), "--raw");
    source.annotations[storage::kRawAnnotation] = raw;
  }
  if (!tmpfs_upper.empty()) {
    NX_TRY(const std::uint64_t bytes, parse_bytes(tmpfs_upper), "--tmpfs-upper");
    source.annotations[storage::kTmpfsAnnotation] = std::to_string(bytes);
  }
  if (read_only_tmpfs && !read_only)
    return fail(Errc::InvalidSpec, "--read-only-tmpfs needs --read-only");
  if (read_only_tmpfs) add_tmpfs(source.mounts);
  // Podman's rule: one of them stands for both.
  NX_TRY(source.uid_map, parse_id_maps("--uidmap", uid_map.empty() ? gid_map : uid_map));
  NX_TRY(source.gid_map, parse_id_maps("--gidmap", gid_map.empty() ? uid_map : gid_map));
  return {};
}

}  // namespace nexcage::cli
