#include "nexcage/backends/proxmox/guest.h"

#include <algorithm>
#include <array>

#include "nexcage/backends/proxmox/power.h"
#include "nexcage/backends/proxmox/volumes.h"
#include "nexcage/base/log.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/answer.h"
#include "nexcage/pve/property_string.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr const char* kStorageAnnotation = "proxmox.storage";
constexpr std::string_view kVolumes = "volumes";  // of annotation org.nexcage.proxmox.volumes
constexpr int kTries = 20;
constexpr std::string_view kBeingMade = " is being made";

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
                           const std::string& libexec, NewTemplates& made_templates) {
  NX_TRY(Template archive, ensure_template(cluster, *job.image, libexec, made_templates));
  params["ostemplate"] = archive.volume;
  std::string& root = params["rootfs"];
  const std::string tail = root.substr(std::min(root.find(','), root.size()));
  root = root.substr(0, root.find(':') + 1) + root_size(archive.archive_bytes) + tail;
  auto made = cluster.make(params);
  if (made || !pve::says_missing(made.error())) return made;
  // The archive was removed since we saw it.
  NX_TRY(archive, ensure_template(cluster, *job.image, libexec, made_templates));
  return cluster.make(params);
}

/// A linked clone of the image's template guest, then its settings.
Result<> make_from_clone(const Cluster& cluster, const CreateJob& job, const StorageInfo& storage,
                         pve::Params params, const std::string& libexec,
                         NewTemplates& made_templates) {
  const std::string vmid = params.at("vmid");
  pve::Params clone = {{"newid", vmid}, {"description", params.at("description")}};
  if (params.contains("hostname")) clone["hostname"] = params.at("hostname");
  if (params.contains("pool")) clone["pool"] = params.at("pool");
  const auto make = [&]() -> Result<> {
    NX_TRY(const std::uint64_t base,
           ensure_template_guest(cluster, *job.image, storage, libexec, made_templates));
    return clone_template(cluster, base, clone);
  };
  auto made = make();
  // The template guest was removed since we saw it.
  if (!made && pve::says_missing(made.error())) made = make();
  NX_CHECK(std::move(made));
  const auto number = parse_u64(vmid).value_or(0);
  NX_TRY(const auto config, cluster.config(number));
  if (!config) return fail(Errc::ProxmoxError, "the clone " + vmid + " is gone");
  for (const char* name : {"vmid", "pool", "unprivileged"}) params.erase(name);
  const bool read_only = params.at("rootfs").ends_with(",ro=1");
  params.erase("rootfs");
  if (read_only) params["rootfs"] = config->at("rootfs") + ",ro=1";
  return cluster.set(number, params);
}

using Located = std::pair<GuestName, pve::Params>;

/// Where a guest of this VMID is now. A node says of one that has moved what it says of one that
/// was deleted; and a node that is down has lost its guests to others.
Result<std::optional<Located>> locate(const Cluster& cluster, const GuestName& name) {
  auto config = cluster.on(name.node).config(name.vmid);
  if (config && *config) return Located(name, std::move(**config));
  if (!config && config.error().code() == Errc::PermissionDenied)
    return fail(std::move(config).error());
  auto node = cluster.node_of(name.vmid);
  if (!node) return fail(config ? std::move(node).error() : std::move(config).error());
  if (!*node)
    return config ? Result<std::optional<Located>>(std::nullopt) : fail(std::move(config).error());
  if (**node == name.node && !config) return fail(std::move(config).error());
  NX_TRY(auto there, cluster.on(**node).config(name.vmid));
  if (!there)
    return fail(Error(Errc::ProxmoxError,
                      "guest " + std::to_string(name.vmid) + " is on its way to another node")
                    .hint("try again when it has arrived"));
  return Located(GuestName{.vmid = name.vmid, .node = **node, .token = name.token},
                 std::move(*there));
}

bool wants_privileges(const pve::Params& params) {
  const auto found = params.find("unprivileged");
  return found != params.end() && found->second == "0";
}

}  // namespace

std::string digest_tag(const std::string& digest) {
  return std::string(pve::kTagPrefix) + digest.substr(digest.find(':') + 1, 24);
}

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

bool says_being_made(const Error& error) {
  return error.message().find(kBeingMade) != std::string::npos;
}

Result<std::optional<FoundGuest>> find_guest(const Cluster& cluster, const GuestName& given) {
  NX_TRY(auto located, locate(cluster, given));
  if (!located) return std::nullopt;
  auto& [name, config] = *located;
  const auto description = config.find("description");
  auto notes = description == config.end() ? std::nullopt : pve::parse_notes(description->second);
  // Before it has its notes nobody knows whose it will be.
  if (!notes && text_of(config, "lock") == "create")
    return fail(Errc::ProxmoxError, "guest " + std::to_string(name.vmid) + std::string(kBeingMade));
  if (!notes || notes->token != name.token)
    return fail(Error(Errc::InvalidState,
                      "guest " + std::to_string(name.vmid) + " is no longer the container's")
                    .hint("somebody has made another guest with this VMID, or changed its notes"));
  return FoundGuest{
      .name = std::move(name), .config = std::move(config), .notes = std::move(*notes)};
}

namespace {

/// Nothing inside the guest gives its interface an address: the host has to, from 9.1 on.
Result<> manage_network(const pve::Version& version, const std::string& name, std::string& value) {
  NX_TRY(pve::Properties net, pve::Properties::parse(value), name);
  const auto has = [&](const char* key) {
    const std::string text = net.find(key).value_or("manual");
    return text != "manual";
  };
  if (!version.has_entrypoint() || (!has("ip") && !has("ip6"))) return {};
  if (net.find("host-managed")) return {};
  if (net.find("ip6") == "auto")
    return fail(Error(Errc::Unsupported, name + ": ip6=auto: Proxmox VE does not do this for a "
                                                "guest whose network it manages")
                    .hint("ip6=dhcp, an address, or host-managed=0 if the guest does it itself"));
  net.set("host-managed", "1");
  NX_TRY(value, net.print(name));
  return {};
}

/// Distributions whose network files the releases before 9.1 write.
bool is_known_os(std::string_view name) {
  constexpr std::array<std::string_view, 10> kKnown = {"alpine",   "archlinux", "centos", "debian",
                                                       "devuan",   "fedora",    "gentoo", "nixos",
                                                       "opensuse", "ubuntu"};
  return std::ranges::find(kKnown, name) != kKnown.end();
}

/// Releases without host-managed networks write addresses into the files of a distribution they
/// know, and nowhere else.
Result<> choose_os(const Cluster& cluster, const GuestImage& image, pve::Params& params) {
  if (cluster.version().has_entrypoint() || params.contains("ostype")) return {};
  for (const auto& [name, value] : params) {
    if (!name.starts_with("net")) continue;
    NX_TRY(const pve::Properties net, pve::Properties::parse(value), name);
    const bool has_address = net.find("ip").value_or("manual") != "manual" ||
                             net.find("ip6").value_or("manual") != "manual";
    if (!has_address) continue;
    if (!is_known_os(image.os))
      return fail(Error(Errc::Unsupported,
                        name + ": Proxmox VE " + cluster.version().str() +
                            " gives addresses only to distributions it knows, and the image is " +
                            (image.os.empty() ? "none" : quote(image.os)))
                      .hint("leave ip= and ip6= away, or use 9.1 or later"));
    params["ostype"] = image.os;
    return {};
  }
  return {};
}

}  // namespace

Result<StorageInfo> root_storage(const Cluster& cluster, const oci::Spec& spec) {
  const std::string_view kind = cluster.kind() == GuestKind::lxc ? "rootdir" : "images";
  const auto found = spec.annotations.find(kStorageAnnotation);
  if (found == spec.annotations.end()) return cluster.storage_for(kind, cluster.setup().storage);
  // Storages of this machine are named by the same annotation.
  if (found->second.find(':') != std::string::npos)
    return fail(Error(Errc::Unsupported, "storage " + quote(found->second) +
                                             ": a guest's root is on a storage of its cluster")
                    .hint("`nexcage pve doctor` lists them"));
  return cluster.storage_for(kind, found->second);
}

Result<oci::Spec> completed(const Cluster& cluster, const CreateJob& job,
                            const StorageInfo& storage) {
  const ProxmoxSetup& setup = cluster.setup();
  oci::Spec spec = job.spec;
  const std::string prefix(pve::kAnnotation);
  bool has_network = false;
  for (const auto& [name, value] : spec.annotations)
    has_network = has_network || name.starts_with(prefix + "net");
  if (!has_network && !setup.network.empty() && !job.image->no_network)
    spec.annotations[prefix + "net0"] = setup.network;
  for (auto& [name, value] : spec.annotations)
    if (name.starts_with(prefix + "net")) NX_CHECK(manage_network(cluster.version(), name, value));
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
    pve::Properties point;
    point.set("", storage.name + ":" + std::to_string(*gib)).set("mp", volume).set("backup", "1");
    NX_TRY(spec.annotations[prefix + "mp" + std::to_string(number)],
           point.print("volume of the image"));
  }
  return spec;
}

Result<pve::Mapped> plan_guest(const Cluster& cluster, const CreateJob& job,
                               const StorageInfo& storage) {
  NX_TRY(const oci::Spec spec, completed(cluster, job, storage));
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
  NX_CHECK(choose_os(cluster, image, mapped.params));
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
  NewTemplates templates;
  for (int tries = 1;; ++tries) {
    NX_TRY(const std::uint64_t vmid, cluster.free_vmid());
    GuestName name{.vmid = vmid, .node = cluster.node(), .token = token};
    NX_CHECK(job.image->remember(to_json(name)));
    params["vmid"] = std::to_string(vmid);
    auto made = clones ? make_from_clone(cluster, job, storage, params, libexec, templates)
                       : make_from_archive(cluster, job, params, libexec, templates);
    if (made) return name;
    Error error = std::move(made).error();
    const bool is_taken = pve::says_taken(error);
    Result<> undone = is_taken ? Result<>() : destroy_guest(cluster, name);
    const bool is_foreign = !undone && undone.error().code() == Errc::InvalidState;
    // A guest that is not ours is not to be removed by what the record remembers of it.
    if (is_taken || is_foreign) NX_CHECK(job.image->remember(json::Value()));
    if (is_taken && tries < kTries) continue;
    if (undone || is_foreign) undone = remove_new(cluster, templates);
    if (!undone) error = std::move(error).also(std::move(undone).error());
    return fail(std::move(error));
  }
}

Result<> destroy_guest(const Cluster& cluster, const GuestName& name, Purge purge) {
  NX_TRY(const auto found, find_guest(cluster, name));
  if (!found) return {};
  const Cluster there = cluster.on(found->name.node);
  pve::Params params;
  // A machine that runs is not removed, a container is, when asked so.
  if (cluster.kind() == GuestKind::lxc) params["force"] = "1";
  if (cluster.kind() == GuestKind::qemu) {
    NX_TRY(const bool runs, is_running(there, name.vmid));
    if (runs) NX_CHECK(kill_guest(there, name.vmid));
  }
  if (purge == Purge::yes) params["purge"] = "1";
  auto done = there.api().run("DELETE", there.guest_path(name.vmid), params);
  if (done || !pve::says_missing(done.error())) return done;
  // That is said of a storage, too: only the guest itself counts.
  const auto left = find_guest(cluster, name);
  return left && !*left ? Result<>() : done;
}

}  // namespace nexcage::backends::proxmox
