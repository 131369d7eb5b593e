#include "nexcage/backends/proxmox/templates.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"
#include "nexcage/sys/process.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr std::string_view kPrefix = "nexcage-";
constexpr std::string_view kTemplateTag = "nexcage-template";
constexpr std::size_t kShortDigest = 24;  // hexadecimal digits: names and tags stay readable
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr int kTries = 5;
constexpr std::chrono::seconds kTemplateLimit{120};

std::string short_digest(const std::string& digest) {
  return digest.substr(digest.find(':') + 1, kShortDigest);
}

/// Releases without `entrypoint` start /sbin/init: the archive then has our launcher there.
std::string archive_name(const Cluster& cluster, const GuestImage& image) {
  return std::string(kPrefix) + short_digest(image.digest) +
         (cluster.version().has_entrypoint() ? "" : "-init") + ".tar.gz";
}

std::vector<GuestImage::Extra> extras(const Cluster& cluster, const pve::Launch& launch,
                                      const std::string& libexec) {
  std::vector<GuestImage::Extra> made = {{.path = std::string(pve::kLauncher.substr(1)),
                                          .file = libexec + "/launch",
                                          .text = {},
                                          .link = {},
                                          .mode = 0755},
                                         {.path = std::string(pve::kLaunchFile.substr(1)),
                                          .file = {},
                                          .text = pve::encode(launch),
                                          .link = {}}};
  if (!cluster.version().has_entrypoint())
    made.push_back(
        {.path = "sbin/init", .file = {}, .text = {}, .link = std::string(pve::kLauncher)});
  return made;
}

json::Array array_of(const json::Value& value) {
  return value.if_array() != nullptr ? *value.if_array() : json::Array();
}

bool has_tag(const json::Value& guest, std::string_view tag) {
  const auto tags = split(guest.text("tags"), ';');
  return std::ranges::find(tags, tag) != tags.end();
}

/// The API starts this task without saying its name.
Result<> await_template(const Cluster& cluster, std::uint64_t vmid) {
  const auto end = std::chrono::steady_clock::now() + kTemplateLimit;
  while (std::chrono::steady_clock::now() < end) {
    NX_TRY(const auto config, cluster.config(vmid));
    if (config && config->contains("template") && config->at("template") == "1") return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return fail(Errc::Timeout, "guest " + std::to_string(vmid) + " does not become a template");
}

/// A guest that is there and not ours to keep.
void drop(const Cluster& cluster, std::uint64_t vmid, Error& error) {
  auto removed = cluster.api().run("DELETE", cluster.lxc_path(vmid), {{"purge", "1"}});
  if (!removed && !pve::says_missing(removed.error()))
    error = std::move(error).also(std::move(removed).error());
}

Result<std::uint64_t> make_template_guest(const Cluster& cluster, const GuestImage& image,
                                          const StorageInfo& storage, const Template& archive) {
  pve::Params params = {
      {"ostemplate", archive.volume},
      {"rootfs", storage.name + ":" + root_size(archive.archive_bytes)},
      {"hostname", "nexcage-template"},
      {"ostype", "unmanaged"},
      {"unprivileged", "1"},
      {"tags", std::string(pve::kTag) + ";" + std::string(kTemplateTag) + ";" +
                   std::string(kPrefix) + short_digest(image.digest)},
      {"description", "OCI image " + image.reference + "\n" + image.digest + "\n"}};
  if (!cluster.setup().pool.empty()) params["pool"] = cluster.setup().pool;
  for (int tries = 1;; ++tries) {
    NX_TRY(const std::uint64_t vmid, cluster.free_vmid());
    params["vmid"] = std::to_string(vmid);
    auto made = cluster.api().run("POST", cluster.lxc_path(), params);
    if (!made && pve::says_taken(made.error()) && tries < kTries) continue;
    if (!made) return fail(std::move(made).error());
    auto done = cluster.api().run("POST", cluster.lxc_path(vmid) + "/template", {});
    if (done) done = await_template(cluster, vmid);
    if (done) return vmid;
    Error error = std::move(done).error();
    drop(cluster, vmid, error);
    return fail(std::move(error));
  }
}

}  // namespace

Result<pve::Launch> launch_of_image(const GuestImage& image) {
  pve::Launch launch{
      .args = image.args, .cwd = image.cwd.empty() ? "/" : image.cwd, .user = image.user};
  if (!image.stop_signal.empty()) {
    NX_TRY(launch.stop_signal, sys::parse_signal(image.stop_signal), "stop signal of the image");
  }
  // The template is that of many guests: the name of one of them is not in it.
  for (std::size_t i = 0; i < image.env.size(); ++i)
    if (!image.env[i].starts_with("HOSTNAME="))
      launch.env.emplace_back(static_cast<unsigned>(i), image.env[i]);
  return launch;
}

std::string root_size(std::uint64_t archive_bytes) {
  // Compressed three times at most, as a rule, and as much again to write.
  return std::to_string(std::max<std::uint64_t>(4, (archive_bytes * 6 + kGiB - 1) / kGiB));
}

Result<Template> ensure_template(const Cluster& cluster, const GuestImage& image,
                                 const std::string& libexec) {
  NX_TRY(const StorageInfo storage,
         cluster.storage_for("vztmpl", cluster.setup().template_storage));
  const std::string name = archive_name(cluster, image);
  Template wanted{.volume = storage.name + ":vztmpl/" + name};
  NX_TRY(const json::Value content,
         cluster.api().call("GET", cluster.node_path() + "/storage/" + storage.name + "/content",
                            {{"content", "vztmpl"}}));
  for (const json::Value& one : array_of(content)) {
    if (one.text("volid") != wanted.volume) continue;
    wanted.archive_bytes = static_cast<std::uint64_t>(pve::as_number(one.find("size")));
    return wanted;
  }
  NX_TRY(const pve::Launch launch, launch_of_image(image));
  NX_TRY(const GuestImage::Archive archive, image.make_archive(extras(cluster, launch, libexec)));
  log::info("proxmox: uploading " + name + " to storage " + storage.name);
  auto done = cluster.api().upload(
      cluster.node(), storage.name,
      {.path = archive.file, .name = name, .content = "vztmpl", .sha256 = archive.sha256});
  (void)::unlink(archive.file.c_str());
  if (!done) return fail(std::move(done).error().wrap("template of image " + image.reference));
  wanted.archive_bytes = archive.unpacked / 3;
  return wanted;
}

Result<std::uint64_t> ensure_template_guest(const Cluster& cluster, const GuestImage& image,
                                            const StorageInfo& storage,
                                            const std::string& libexec) {
  NX_TRY(const json::Value guests,
         cluster.api().call("GET", "/cluster/resources", {{"type", "vm"}}));
  const std::string tag = std::string(kPrefix) + short_digest(image.digest);
  for (const json::Value& one : array_of(guests)) {
    if (one.text("node") != cluster.node() || !pve::as_bool(one.find("template")) ||
        !has_tag(one, tag))
      continue;
    const auto vmid = static_cast<std::uint64_t>(pve::as_number(one.find("vmid")));
    NX_TRY(const auto config, cluster.config(vmid));
    const auto root = config ? config->find("rootfs") : pve::Params::const_iterator{};
    if (config && root != config->end() && root->second.starts_with(storage.name + ":"))
      return vmid;
  }
  NX_TRY(const Template archive, ensure_template(cluster, image, libexec));
  return make_template_guest(cluster, image, storage, archive);
}

Result<std::vector<FoundTemplate>> list_templates(const Cluster& cluster) {
  NX_TRY(const json::Value guests,
         cluster.api().call("GET", "/cluster/resources", {{"type", "vm"}}));
  std::set<std::string> used;
  std::vector<FoundTemplate> found;
  for (const json::Value& one : array_of(guests)) {
    if (one.text("node") != cluster.node() || !has_tag(one, pve::kTag)) continue;
    const bool is_template = has_tag(one, kTemplateTag);
    for (const std::string& tag : split(one.text("tags"), ';'))
      if (!is_template && tag.starts_with(kPrefix)) used.insert(tag);
    if (!is_template || !pve::as_bool(one.find("template"))) continue;
    FoundTemplate guest{.volume = {},
                        .vmid = static_cast<std::uint64_t>(pve::as_number(one.find("vmid")))};
    for (const std::string& tag : split(one.text("tags"), ';'))
      if (tag.starts_with(kPrefix) && tag != kTemplateTag) guest.volume = tag;
    found.push_back(std::move(guest));
  }
  NX_TRY(const auto storages, cluster.storages());
  for (const StorageInfo& storage : storages) {
    if (!storage.holds("vztmpl")) continue;
    NX_TRY(const json::Value content,
           cluster.api().call("GET", cluster.node_path() + "/storage/" + storage.name + "/content",
                              {{"content", "vztmpl"}}));
    const std::string ours = storage.name + ":vztmpl/" + std::string(kPrefix);
    for (const json::Value& one : array_of(content))
      if (one.text("volid").starts_with(ours))
        found.push_back({.volume = one.text("volid"),
                         .bytes = static_cast<std::uint64_t>(pve::as_number(one.find("size")))});
  }
  for (FoundTemplate& one : found)
    one.is_used = std::ranges::any_of(
        used, [&](const std::string& tag) { return one.volume.find(tag) != std::string::npos; });
  return found;
}

Result<> remove_template(const Cluster& cluster, const FoundTemplate& found) {
  if (found.vmid != 0)
    return cluster.api().run("DELETE", cluster.lxc_path(found.vmid), {{"purge", "1"}});
  const std::string storage = found.volume.substr(0, found.volume.find(':'));
  return cluster.api().run(
      "DELETE", cluster.node_path() + "/storage/" + storage + "/content/" + found.volume, {});
}

}  // namespace nexcage::backends::proxmox
