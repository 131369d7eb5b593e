#include "nexcage/backends/proxmox/templates.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "nexcage/backends/proxmox/guest.h"
#include "nexcage/backends/proxmox/template_marks.h"
#include "nexcage/backends/proxmox/volumes.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"
#include "nexcage/pve/notes.h"
#include "nexcage/sys/fs.h"
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

/// The digest in "NODE:STORAGE:DIGEST.json".
std::string short_digest_of_mark(const std::string& mark) {
  const std::size_t begin = mark.rfind(':') + 1;
  return mark.substr(begin, mark.find('.', begin) - begin);
}

/// Releases without `entrypoint` start /sbin/init: the archive then has our launcher there.
std::string archive_name(const Cluster& cluster, const GuestImage& image) {
  return std::string(kPrefix) + short_digest(image.digest) +
         (cluster.version().has_entrypoint() ? "" : "-init") + ".tar.gz";
}

/// A name that archive_name makes, for any image and release: others' archives are not ours.
bool is_archive_name(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  if (name.size() < kShortDigest) return false;
  const std::string_view tail = name.substr(kShortDigest);
  const bool is_digest =
      name.substr(0, kShortDigest).find_first_not_of("0123456789abcdef") == std::string_view::npos;
  return is_digest && (tail == ".tar.gz" || tail == "-init.tar.gz");
}

constexpr std::string_view kRootDisk = "-root.raw";

std::string disk_name(const GuestImage& image) {
  return std::string(kPrefix) + short_digest(image.digest) + std::string(kRootDisk);
}

bool is_disk_name(std::string_view name) {
  return name.starts_with(kPrefix) && name.ends_with(kRootDisk) &&
         name.size() == kPrefix.size() + kShortDigest + kRootDisk.size() &&
         name.substr(kPrefix.size(), kShortDigest).find_first_not_of("0123456789abcdef") ==
             std::string_view::npos;
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

/// Its settings, without its VMID.
Result<pve::Params> template_settings(const Cluster& cluster, const GuestImage& image,
                                      const StorageInfo& storage, const Template& archive,
                                      const std::string& token) {
  pve::Params params = {{"ostemplate", archive.volume},
                        {"rootfs", storage.name + ":" + root_size(archive.archive_bytes)},
                        {"hostname", "nexcage-template"},
                        {"ostype", "unmanaged"},
                        {"unprivileged", "1"},
                        {"tags", std::string(pve::kTag) + ";" + std::string(kTemplateTag) + ";" +
                                     std::string(kPrefix) + short_digest(image.digest)}};
  NX_TRY(params["description"], pve::print_notes({.token = token,
                                                  .id = "@template",
                                                  .image = image.reference,
                                                  .digest = image.digest,
                                                  .rest = {},
                                                  .kept = {}}));
  if (!cluster.setup().pool.empty()) params["pool"] = cluster.setup().pool;
  return params;
}

Result<> make_base(const Cluster& cluster, const GuestName& guest, const pve::Params& params) {
  NX_CHECK(cluster.make(params));
  NX_CHECK(cluster.api().run("POST", cluster.guest_path(guest.vmid) + "/template", {}));
  return await_template(cluster, guest.vmid);
}

Result<std::uint64_t> make_template_guest(const Cluster& cluster, pve::Params params,
                                          const TemplateMarks& marks, const std::string& mark,
                                          const std::string& token) {
  for (int tries = 1;; ++tries) {
    NX_TRY(const std::uint64_t vmid, cluster.free_vmid());
    const GuestName guest{.vmid = vmid, .node = cluster.node(), .token = token};
    // Written first: one that is left half-made is found again.
    NX_CHECK(marks.save(mark, guest));
    params["vmid"] = std::to_string(vmid);
    auto made = make_base(cluster, guest, params);
    if (made) return vmid;
    Error error = std::move(made).error();
    if (pve::says_taken(error) && tries < kTries) continue;
    auto gone = destroy_guest(cluster, guest);
    const bool is_foreign = !gone && gone.error().code() == Errc::InvalidState;
    if (gone || is_foreign)
      NX_CHECK(marks.forget(mark));
    else
      error = std::move(error).also(std::move(gone).error());
    return fail(std::move(error));
  }
}

/// The template guest that the mark speaks of, if it is whole. What a killed command has left of
/// one goes.
Result<std::optional<std::uint64_t>> find_template_guest(const Cluster& cluster,
                                                         const StorageInfo& storage,
                                                         const TemplateMarks& marks,
                                                         const std::string& mark) {
  NX_TRY(const auto guest, marks.load(mark));
  if (!guest) return std::nullopt;
  auto found = find_guest(cluster, *guest);
  if (!found && found.error().code() == Errc::InvalidState) return std::nullopt;
  if (!found) return fail(std::move(found).error());
  if (!*found) return std::nullopt;
  const FoundGuest& there = **found;
  const bool is_whole = text_of(there.config, "template") == "1";
  if (!is_whole) NX_CHECK(destroy_guest(cluster, *guest));
  const bool is_usable = is_whole && there.name.node == cluster.node() &&
                         text_of(there.config, "rootfs").starts_with(storage.name + ":");
  return is_usable ? std::optional(guest->vmid) : std::nullopt;
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
                                 const std::string& libexec, NewTemplates& made) {
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
  made.push_back({.volume = wanted.volume});  // also when its end is not known
  auto done = cluster.api().upload(
      cluster.node(), storage.name,
      {.path = archive.file, .name = name, .content = "vztmpl", .sha256 = archive.sha256});
  (void)::unlink(archive.file.c_str());
  if (!done) return fail(std::move(done).error().wrap("template of image " + image.reference));
  wanted.archive_bytes = archive.unpacked / 3;
  return wanted;
}

Result<std::string> ensure_root_disk(const Cluster& cluster, const GuestImage& image,
                                     NewTemplates& made) {
  NX_TRY(const StorageInfo storage,
         cluster.storage_for("import", cluster.setup().template_storage));
  const std::string name = disk_name(image);
  std::string volume = storage.name + ":import/" + name;
  NX_TRY(const TemplateMarks marks, TemplateMarks::open(cluster.setup().work));
  NX_TRY(const sys::FileLock lock, marks.lock());
  NX_TRY(const auto whole, marks.load_upload(volume));
  NX_TRY(const json::Value content,
         cluster.api().call("GET", cluster.node_path() + "/storage/" + storage.name + "/content",
                            {{"content", "import"}}));
  for (const json::Value& one : array_of(content))
    if (one.text("volid") == volume && whole &&
        static_cast<std::uint64_t>(pve::as_number(one.find("size"))) == *whole)
      return volume;
  NX_TRY(const GuestImage::Disk disk, image.make_disk());
  log::info("proxmox: uploading " + name + " to storage " + storage.name);
  made.push_back({.volume = volume});  // also when its end is not known
  auto done =
      cluster.api().upload(cluster.node(), storage.name,
                           {.path = disk.file, .name = name, .content = "import", .sha256 = {}});
  (void)::unlink(disk.file.c_str());
  if (!done) return fail(std::move(done).error().wrap("root disk of image " + image.reference));
  // Storages list a file from its first byte on.
  NX_CHECK(marks.save_upload(volume, disk.bytes));
  return volume;
}

Result<std::uint64_t> ensure_template_guest(const Cluster& cluster, const GuestImage& image,
                                            const StorageInfo& storage, const std::string& libexec,
                                            NewTemplates& made) {
  NX_TRY(const TemplateMarks marks, TemplateMarks::open(cluster.setup().work));
  NX_TRY(const sys::FileLock lock, marks.lock());
  const std::string mark =
      TemplateMarks::name(cluster.node(), storage.name, short_digest(image.digest));
  NX_TRY(const auto found, find_template_guest(cluster, storage, marks, mark));
  if (found) return *found;
  NX_TRY(const Template archive, ensure_template(cluster, image, libexec, made));
  NX_TRY(const std::string token, sys::random_hex(16));
  NX_TRY(pve::Params params, template_settings(cluster, image, storage, archive, token));
  NX_TRY(const std::uint64_t vmid,
         make_template_guest(cluster, std::move(params), marks, mark, token));
  made.push_back({.volume = {}, .vmid = vmid, .mark = mark});
  return vmid;
}

Result<> clone_template(const Cluster& cluster, std::uint64_t base, const pve::Params& params) {
  const auto end = std::chrono::steady_clock::now() + kTemplateLimit;
  while (true) {
    auto made = cluster.api().run("POST", cluster.guest_path(base) + "/clone", params);
    // While another clone of it is made, the template is locked.
    const bool is_locked =
        !made && (made.error().message().find("is locked") != std::string::npos ||
                  made.error().message().find("can't lock file") != std::string::npos);
    if (!is_locked || std::chrono::steady_clock::now() >= end) return made;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

namespace {

/// Tags of the images that guests of the cluster run, or ran and can go back to.
Result<std::set<std::string>> used_tags(const Cluster& cluster) {
  NX_TRY(const json::Value guests,
         cluster.api().call("GET", "/cluster/resources", {{"type", "vm"}}));
  std::set<std::string> used;
  for (const json::Value& one : array_of(guests)) {
    if (!has_tag(one, pve::kTag) || has_tag(one, kTemplateTag)) continue;
    for (const std::string& tag : split(one.text("tags"), ';'))
      if (tag.starts_with(kPrefix)) used.insert(tag);
    const auto vmid = static_cast<std::uint64_t>(pve::as_number(one.find("vmid")));
    NX_TRY(const auto config, cluster.on(one.text("node")).config(vmid));
    const auto notes = config ? pve::parse_notes(text_of(*config, "description")) : std::nullopt;
    if (!notes) continue;
    for (const pve::Generation& kept : notes->kept)
      used.insert(std::string(kPrefix) + short_digest(kept.digest));
  }
  return used;
}

Result<> add_guests(const Cluster& cluster, std::vector<FoundTemplate>& found) {
  NX_TRY(const TemplateMarks marks, TemplateMarks::open(cluster.setup().work));
  NX_TRY(const auto names, marks.names());
  for (const std::string& mark : names) {
    NX_TRY(const auto guest, marks.load(mark));
    if (!guest) continue;
    FoundTemplate one{.volume = std::string(kPrefix) + short_digest_of_mark(mark),
                      .vmid = guest->vmid,
                      .mark = mark};
    found.push_back(std::move(one));
  }
  return {};
}

Result<> add_volumes(const Cluster& cluster, const StorageInfo& storage, const std::string& kind,
                     bool (*is_ours)(std::string_view), std::vector<FoundTemplate>& found) {
  NX_TRY(const json::Value content,
         cluster.api().call("GET", cluster.node_path() + "/storage/" + storage.name + "/content",
                            {{"content", kind}}));
  const std::string begin = storage.name + ":" + kind + "/";
  for (const json::Value& one : array_of(content)) {
    const std::string volume = one.text("volid");
    if (!volume.starts_with(begin) || !is_ours(volume.substr(begin.size()))) continue;
    found.push_back(
        {.volume = volume, .bytes = static_cast<std::uint64_t>(pve::as_number(one.find("size")))});
  }
  return {};
}

Result<> add_archives(const Cluster& cluster, std::vector<FoundTemplate>& found) {
  NX_TRY(const auto storages, cluster.storages());
  for (const StorageInfo& storage : storages) {
    if (storage.holds("vztmpl"))
      NX_CHECK(add_volumes(cluster, storage, "vztmpl", is_archive_name, found));
    if (storage.holds("import"))
      NX_CHECK(add_volumes(cluster, storage, "import", is_disk_name, found));
  }
  return {};
}

}  // namespace

Result<std::vector<FoundTemplate>> list_templates(const Cluster& cluster) {
  std::vector<FoundTemplate> found;
  NX_CHECK(add_guests(cluster, found));
  NX_CHECK(add_archives(cluster, found));
  NX_TRY(const auto used, used_tags(cluster));
  for (FoundTemplate& one : found)
    one.is_used = std::ranges::any_of(
        used, [&](const std::string& tag) { return one.volume.find(tag) != std::string::npos; });
  return found;
}

Result<> remove_template(const Cluster& cluster, const FoundTemplate& found) {
  if (found.mark.empty()) {
    const std::string storage = found.volume.substr(0, found.volume.find(':'));
    auto gone = cluster.api().run(
        "DELETE", cluster.node_path() + "/storage/" + storage + "/content/" + found.volume, {});
    return !gone && pve::says_missing(gone.error()) ? Result<>() : gone;
  }
  NX_TRY(const TemplateMarks marks, TemplateMarks::open(cluster.setup().work));
  NX_TRY(const sys::FileLock lock, marks.lock());
  NX_TRY(const auto guest, marks.load(found.mark));
  if (!guest) return {};
  auto gone = destroy_guest(cluster, *guest);
  // A guest with other notes is left alone: ours is gone.
  if (!gone && gone.error().code() != Errc::InvalidState) return gone;
  return marks.forget(found.mark);
}

Result<> remove_new(const Cluster& cluster, NewTemplates& made) {
  for (; !made.empty(); made.pop_back()) {
    auto gone = remove_template(cluster, made.back());
    const bool is_cloned =
        !gone && gone.error().message().find("in use by linked clones") != std::string::npos;
    if (is_cloned) break;  // then its archive may stay, too
    NX_CHECK(std::move(gone));
  }
  made.clear();
  return {};
}

}  // namespace nexcage::backends::proxmox
