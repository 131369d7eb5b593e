#include "nexcage/backends/proxmox/guest.h"

#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr const char* kStorageAnnotation = "proxmox.storage";
constexpr std::string_view kVolumes = "volumes";  // of annotation org.nexcage.proxmox.volumes
constexpr int kTries = 20;

std::string digest_tag(const std::string& digest) {
  return std::string(pve::kTagPrefix) + digest.substr(digest.find(':') + 1, 24);
}

Result<pve::Notes> notes_of(const CreateJob& job, const pve::Mapped& settings,
                            const std::string& token) {
  pve::Notes notes{.token = token,
                   .id = job.id,
                   .image = job.image->reference,
                   .digest = job.image->digest,
                   .rest = settings.rest,
                   .kept = {}};
  NX_CHECK(pve::print_notes(notes));
  return notes;
}

/// Made from the archive: everything at once.
Result<> make_from_archive(const Cluster& cluster, const CreateJob& job, pve::Params params,
                           const std::string& libexec) {
  NX_TRY(Template archive, ensure_template(cluster, *job.image, libexec));
  params["ostemplate"] = archive.volume;
  std::string& root = params["rootfs"];
  const std::string tail = root.substr(std::min(root.find(','), root.size()));
  root = root.substr(0, root.find(':') + 1) + root_size(archive.archive_bytes) + tail;
  auto made = cluster.api().run("POST", cluster.lxc_path(), params);
  if (made || !pve::says_missing(made.error())) return made;
  // The archive was removed since we saw it.
  NX_TRY(archive, ensure_template(cluster, *job.image, libexec));
  return cluster.api().run("POST", cluster.lxc_path(), params);
}

/// A linked clone of the image's template guest, then its settings.
Result<> make_from_clone(const Cluster& cluster, const CreateJob& job, const StorageInfo& storage,
                         pve::Params params, const std::string& libexec) {
  NX_TRY(const std::uint64_t base, ensure_template_guest(cluster, *job.image, storage, libexec));
  const std::string vmid = params.at("vmid");
  pve::Params clone = {{"newid", vmid}, {"description", params.at("description")}};
  if (params.contains("hostname")) clone["hostname"] = params.at("hostname");
  if (params.contains("pool")) clone["pool"] = params.at("pool");
  NX_CHECK(cluster.api().run("POST", cluster.lxc_path(base) + "/clone", clone));
  const auto number = parse_u64(vmid).value_or(0);
  NX_TRY(const auto config, cluster.config(number));
  if (!config) return fail(Errc::ProxmoxError, "the clone " + vmid + " is gone");
  for (const char* name : {"vmid", "pool", "unprivileged", "ostype"}) params.erase(name);
  const bool read_only = params.at("rootfs").ends_with(",ro=1");
  params.erase("rootfs");
  if (read_only) params["rootfs"] = config->at("rootfs") + ",ro=1";
  return cluster.set(number, params);
}

bool wants_privileges(const pve::Params& params) {
  const auto found = params.find("unprivileged");
  return found != params.end() && found->second == "0";
}

}  // namespace

json::Value to_json(const GuestName& name) {
  json::Object out;
  out.set("vmid", name.vmid);
  out.set("node", name.node);
  out.set("token", name.token);
  return out;
}

Result<GuestName> guest_name(const json::Value& data) {
  GuestName name{.vmid = static_cast<std::uint64_t>(pve::as_number(data.find("vmid"))),
                 .node = data.text("node"),
                 .token = data.text("token")};
  if (name.vmid >= 100 && !name.node.empty() && !name.token.empty()) return name;
  return fail(Errc::InvalidState, "the container's record names no guest");
}

Result<std::optional<FoundGuest>> find_guest(const Cluster& cluster, const GuestName& name) {
  NX_TRY(auto config, cluster.on(name.node).config(name.vmid));
  if (!config) return std::nullopt;
  const auto description = config->find("description");
  auto notes = description == config->end() ? std::nullopt : pve::parse_notes(description->second);
  if (!notes || notes->token != name.token)
    return fail(Error(Errc::InvalidState,
                      "guest " + std::to_string(name.vmid) + " is no longer the container's")
                    .hint("somebody has made another guest with this VMID, or changed its notes"));
  return FoundGuest{.config = std::move(*config), .notes = std::move(*notes)};
}

Result<StorageInfo> root_storage(const Cluster& cluster, const oci::Spec& spec) {
  const auto found = spec.annotations.find(kStorageAnnotation);
  // Storages of this machine are named by the same annotation: those are not meant.
  const bool is_ours = found != spec.annotations.end() && found->second != "local" &&
                       found->second.find(':') == std::string::npos;
  return cluster.storage_for("rootdir", is_ours ? found->second : cluster.setup().storage);
}

Result<oci::Spec> completed(const CreateJob& job, const ProxmoxSetup& setup,
                            const StorageInfo& storage) {
  oci::Spec spec = job.spec;
  const std::string prefix(pve::kAnnotation);
  bool has_network = false;
  for (const auto& [name, value] : spec.annotations)
    has_network = has_network || name.starts_with(prefix + "net");
  if (!has_network && !setup.network.empty()) spec.annotations[prefix + "net0"] = setup.network;
  const auto wanted = spec.annotations.find(prefix + std::string(kVolumes));
  if (wanted == spec.annotations.end()) return spec;
  const auto gib = parse_u64(wanted->second);
  if (!gib || *gib == 0)
    return fail(Errc::InvalidConfig,
                wanted->first + ": " + quote(wanted->second) + ": expected a size in GiB");
  spec.annotations.erase(wanted);
  unsigned number = 0;
  for (const std::string& volume : job.image->volumes) {
    while (spec.annotations.contains(prefix + "mp" + std::to_string(number))) ++number;
    spec.annotations[prefix + "mp" + std::to_string(number)] =
        storage.name + ":" + std::to_string(*gib) + ",mp=" + volume + ",backup=1";
  }
  return spec;
}

Result<pve::Mapped> plan_guest(const Cluster& cluster, const CreateJob& job,
                               const StorageInfo& storage) {
  NX_TRY(const oci::Spec spec, completed(job, cluster.setup(), storage));
  const GuestImage& image = *job.image;
  pve::MapTarget target{.version = cluster.version(), .rootfs = storage.name + ":4"};
  NX_TRY(pve::Launch launch, launch_of_image(image));
  launch.env.clear();
  launch.no_new_privileges = spec.process && spec.process->no_new_privileges;
  target.baked = pve::Baked{.launch = std::move(launch), .env = image.env};
  NX_TRY(pve::Mapped mapped, pve::to_settings(spec, target));
  std::string& tags = mapped.params["tags"];
  tags.insert(pve::kTag.size(), ";" + digest_tag(image.digest));
  // The launcher is the first process; what a distribution's files say is the image's own matter.
  mapped.params.try_emplace("ostype", "unmanaged");
  mapped.params.try_emplace("unprivileged", "1");
  if (cluster.version().has_entrypoint()) mapped.params.try_emplace("cmode", "console");
  if (!cluster.setup().pool.empty()) mapped.params.try_emplace("pool", cluster.setup().pool);
  return mapped;
}

Result<GuestName> make_guest(const Cluster& cluster, const CreateJob& job,
                             const StorageInfo& storage, const pve::Mapped& settings,
                             const std::string& libexec) {
  NX_TRY(const std::string token, sys::random_hex(16));
  NX_TRY(const pve::Notes notes, notes_of(job, settings, token));
  pve::Params params = settings.params;
  NX_TRY(params["description"], pve::print_notes(notes));
  const bool clones = storage.can_clone() && !wants_privileges(params);
  for (int tries = 1;; ++tries) {
    NX_TRY(const std::uint64_t vmid, cluster.free_vmid());
    GuestName name{.vmid = vmid, .node = cluster.node(), .token = token};
    NX_CHECK(job.image->remember(to_json(name)));
    params["vmid"] = std::to_string(vmid);
    auto made = clones ? make_from_clone(cluster, job, storage, params, libexec)
                       : make_from_archive(cluster, job, params, libexec);
    if (made) return name;
    if (pve::says_taken(made.error()) && tries < kTries) continue;
    Error error = std::move(made).error();
    if (pve::says_taken(error)) return fail(std::move(error));
    if (auto undone = destroy_guest(cluster, name);
        !undone && undone.error().code() != Errc::InvalidState)
      error = std::move(error).also(std::move(undone).error());
    return fail(std::move(error));
  }
}

Result<> destroy_guest(const Cluster& cluster, const GuestName& name) {
  const Cluster there = cluster.on(name.node);
  NX_TRY(const auto found, find_guest(cluster, name));
  if (!found) return {};
  auto done =
      there.api().run("DELETE", there.lxc_path(name.vmid),
                      {{"force", "1"}, {"purge", "1"}, {"destroy-unreferenced-disks", "1"}});
  if (!done && pve::says_missing(done.error())) return {};
  return done;
}

}  // namespace nexcage::backends::proxmox
