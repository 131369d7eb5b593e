// Phase 8, its first half: the container's network, before the backend makes the container in it.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/base/text.h"
#include "nexcage/network/network.h"
#include "nexcage/runtime/id_maps.h"
#include "nexcage/runtime/network_spec.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/runtime/phases.h"
#include "nexcage/runtime/state_file.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/umask.h"

namespace nexcage::runtime {
namespace {

constexpr mode_t kFileMode = 0644;  // any user of the container reads them

std::string_view mode_name(network::Mode mode) {
  switch (mode) {
    case network::Mode::none:
      return "none";
    case network::Mode::host:
      return "host";
    case network::Mode::user:
      return "user";
    case network::Mode::bridge:
      return "bridge";
    case network::Mode::path:
      return "ns";
    case network::Mode::cni:
      return "cni";
  }
  return "";
}

/// The files that apply_network mounts. Those whose place the user's mounts took are written all
/// the same: nobody looks at them.
Result<> write_files(const Registered& made, const network::Attached& attached) {
  const std::string& hostname = made.final_spec->hostname;
  NX_TRY(const std::string hosts, network::container_hosts(*made.network, attached, hostname));
  const std::array<std::pair<const char*, std::string>, 3> files = {{
      {"/hosts", hosts},
      {"/hostname", hostname + "\n"},
      {"/resolv.conf", network::container_resolv_conf(*made.network, attached)},
  }};
  const sys::NoUmask exact_modes;
  for (const auto& [name, text] : files)
    NX_CHECK(sys::write_file_atomic(made.bundle + name, text, kFileMode, sys::Durable::no));
  return {};
}

/// The places of these files, where the image lacks them, made so that the directory's times stay
/// the image's: a backend that makes them itself leaves its own.
Result<> make_places(const std::string& rootfs, const oci::Spec& spec) {
  NX_TRY(const sys::FsIds as_root, become_root(spec));
  NX_TRY(const UniqueFd root, sys::open_at(AT_FDCWD, rootfs, O_PATH | O_DIRECTORY));
  NX_TRY(const UniqueFd etc, sys::mkdirs_in_root(root.get(), "/etc", 0755));
  NX_TRY(const struct stat before, sys::stat_fd(etc.get()));
  const sys::NoUmask exact_modes;
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    NX_TRY(const auto there, sys::stat_at(etc.get(), name));
    if (there) continue;
    NX_TRY(UniqueFd made,
           sys::open_at(etc.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, kFileMode));
  }
  const std::array<timespec, 2> times = {before.st_atim, before.st_mtim};
  if (::utimensat(etc.get(), "", times.data(), AT_EMPTY_PATH) != 0)
    return fail_errno("set the times of /etc");
  return {};
}

std::vector<std::string> address_texts(const network::Attached& attached) {
  std::vector<std::string> texts;
  texts.reserve(attached.outcome.addresses.size());
  for (const network::Prefix& prefix : attached.outcome.addresses) texts.push_back(prefix.str());
  return texts;
}

std::vector<std::string> port_texts(const network::Attached& attached) {
  std::vector<std::string> texts;
  texts.reserve(attached.ports.size());
  for (const network::Port& port : attached.ports) texts.push_back(network::to_string(port));
  return texts;
}

json::Value info_of(const network::Wanted& wanted, const network::Attached& attached) {
  const std::vector<std::string> addresses = address_texts(attached);
  const std::vector<std::string> ports = port_texts(attached);
  json::Object info;
  info.set("mode", mode_name(wanted.mode));
  if (!attached.network.empty()) info.set("name", attached.network);
  if (wanted.mode == network::Mode::path) info.set("path", wanted.name);
  info.set("addresses", json::Array(addresses.begin(), addresses.end()));
  if (!attached.outcome.gateway.empty()) info.set("gateway", attached.outcome.gateway);
  if (!attached.outcome.mac.empty()) info.set("mac", attached.outcome.mac);
  info.set("ports", json::Array(ports.begin(), ports.end()));
  return info;
}

/// For hooks, `state` and `ps`: what they see of the container are its annotations.
void annotate(oci::StringMap& annotations, const network::Wanted& wanted,
              const network::Attached& attached) {
  const std::string prefix = "org.nexcage.network";
  annotations[prefix] = attached.network.empty() ? mode_name(wanted.mode) : attached.network;
  if (const auto addresses = address_texts(attached); !addresses.empty())
    annotations[prefix + ".ip"] = join(addresses, ",");
  if (!attached.outcome.mac.empty()) annotations[prefix + ".mac"] = attached.outcome.mac;
  if (const auto ports = port_texts(attached); !ports.empty())
    annotations[prefix + ".ports"] = join(ports, ",");
}

}  // namespace

Result<Registered> connect_network(Registered made, Services& with) {
  if (!made.network) return made;
  const network::Wanted& wanted = *made.network;
  network::Attached attached;
  if (network::is_attached(wanted)) {
    const std::string directory = Paths(with.settings).network_dir(made.request->id);
    const network::Config config = network_config(with.settings);
    NX_CHECK(made.undo.will_attach_network(directory));
    NX_TRY(
        attached,
        network::attach(
            {.id = made.request->id, .directory = directory, .wanted = wanted, .config = config}));
    testpoint("network");
  }
  if (wanted.mode == network::Mode::user)
    for (const network::Port& port : attached.ports)
      made.user_network->ports.push_back(
          {.address = port.host_ip, .port = port.host, .inner = port.container});
  NX_CHECK(write_files(made, attached), "network");
  if (!made.disk_root) NX_CHECK(make_places(made.rootfs, made.spec), "network");
  made.network_info = info_of(wanted, attached);
  annotate(made.final_spec->annotations, wanted, attached);
  annotate(made.record.state.annotations, wanted, attached);
  NX_CHECK(save_info(made, with.settings));
  NX_CHECK(save_record(made.record));
  return made;
}

}  // namespace nexcage::runtime
