// From a spec to the settings of a virtual machine.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <utility>

#include "nexcage/backends/proxmox/guest_backend.h"
#include "nexcage/backends/proxmox/machine.h"
#include "nexcage/backends/vm/plan.h"
#include "nexcage/backends/vm/standalone.h"
#include "nexcage/base/text.h"
#include "nexcage/pve/line.h"
#include "nexcage/pve/property_string.h"
#include "nexcage/pve/settings_parts.h"
#include "nexcage/sys/fs.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::string_view kOui =
    "BC:24:11";  // of Proxmox Server Solutions, as the product uses it

std::unexpected<Error> refuse(const std::string& field, const std::string& why) {
  return fail(Errc::Unsupported, field + ": " + why);
}

/// Settings of a machine that an annotation may give word for word.
bool is_machine_setting(std::string_view name) {
  constexpr std::array<std::string_view, 6> kTaken = {"cpu",        "onboot",  "pool",
                                                      "protection", "startup", "tags"};
  return std::ranges::find(kTaken, name) != kTaken.end();
}

bool is_nic(std::string_view name) {
  const auto number = name.starts_with("net") ? parse_u64(name.substr(3)) : std::nullopt;
  return number && *number < 32 && std::to_string(*number) == name.substr(3);
}

Result<std::string> mac_bytes(const std::string& text) {
  std::string out;
  for (const std::string& part : split(text, ':')) {
    if (part.size() != 2 || part.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      break;
    out += static_cast<char>(std::stoi(part, nullptr, 16));
  }
  if (out.size() == 6 && text.size() == 17) return out;
  return fail(Errc::InvalidConfig, "hwaddr: " + quote(text) + " is no hardware address");
}

/// The bytes of an address of its family.
Result<std::string> address_bytes(int family, const std::string& text, const std::string& field) {
  std::array<char, sizeof(in6_addr)> bytes{};
  if (::inet_pton(family, text.c_str(), bytes.data()) != 1)
    return fail(Errc::InvalidConfig, field + ": " + quote(text) + " is no address");
  return std::string(bytes.data(), family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr));
}

/// "ip" or "ip6" with its gateway.
Result<> add_address(const pve::Properties& net, int family, const std::string& field,
                     vm::protocol::Interface& out) {
  const std::string key = family == AF_INET ? "ip" : "ip6";
  const std::string text = net.find(key).value_or("manual");
  const std::string gateway = net.find(family == AF_INET ? "gw" : "gw6").value_or("");
  const bool is_given = text != "manual" && text != "dhcp" && text != "auto";
  if (!is_given && !gateway.empty())
    return fail(Errc::InvalidConfig, field + ": a gateway without an address");
  if (text == "manual") return {};
  if (text == "auto") return {};  // the kernel does it
  if (text == "dhcp" && family == AF_INET) {
    out.dhcp = true;
    return {};
  }
  if (text == "dhcp")
    return fail(Error(Errc::Unsupported, field + ": ip6=dhcp: the machine's agent cannot do it")
                    .hint("ip6=auto, or an address"));
  const std::size_t slash = text.find('/');
  const auto prefix = slash == std::string::npos ? std::nullopt : parse_u64(text.substr(slash + 1));
  if (!prefix || *prefix > (family == AF_INET ? 32U : 128U))
    return fail(Errc::InvalidConfig, field + ": " + key + "=" + text + ": expected ADDRESS/PREFIX");
  sys::plan::Address address;
  address.family = static_cast<std::uint8_t>(family);
  address.prefix = static_cast<std::uint8_t>(*prefix);
  NX_TRY(address.local, address_bytes(family, text.substr(0, slash), field));
  out.addresses.push_back(std::move(address));
  if (gateway.empty()) return {};
  vm::protocol::Route route;
  route.family = static_cast<std::uint8_t>(family);
  route.destination = std::string(family == AF_INET ? 4 : 16, '\0');
  NX_TRY(route.gateway, address_bytes(family, gateway, field));
  out.routes.push_back(std::move(route));
  return {};
}

Result<std::string> random_mac() {
  NX_TRY(const std::string digits, sys::random_hex(3));
  std::string mac(kOui);
  for (std::size_t i = 0; i < digits.size(); i += 2) mac += ":" + digits.substr(i, 2);
  std::ranges::transform(mac, mac.begin(), [](char c) { return c >= 'a' ? c - 'a' + 'A' : c; });
  return mac;
}

/// Of "virtio=BC:24:11:...,bridge=vmbr0".
std::string present_mac(const pve::Params& present, const std::string& name) {
  const auto found = present.find(name);
  const std::string value = found == present.end() ? std::string() : found->second;
  return value.starts_with("virtio=") ? value.substr(7, value.find(',') - 7) : std::string();
}

Result<> map_nic(const std::string& name, std::string value, const pve::Params& present,
                 MachinePlan& out) {
  std::string mac;
  if (present.empty()) {
    NX_TRY(mac, random_mac());
  } else {
    // The agent finds an interface by its hardware address.
    mac = present_mac(present, name);
    if (mac.empty())
      return fail(Error(Errc::InvalidState, "the machine has no virtio interface " + name)
                      .hint("the container was made with one: add it, or make a new container"));
    NX_TRY(pve::Properties net, pve::Properties::parse(value), name);
    NX_TRY(value, net.set("hwaddr", mac).print(name));
  }
  NX_TRY(MachineNic nic, machine_nic(name, value, mac));
  out.params[name] = std::move(nic.setting);
  out.interfaces.push_back(std::move(nic.inside));
  return {};
}

Result<> map_annotations(const Cluster& cluster, const CreateJob& job, const pve::Params& present,
                         MachinePlan& out) {
  const std::string prefix(pve::kAnnotation);
  bool has_network = false;
  for (const auto& [annotation, value] : job.spec.annotations) {
    if (!annotation.starts_with(prefix)) continue;
    const std::string name = annotation.substr(prefix.size());
    NX_CHECK(pve::check_line(annotation, value));
    if (is_nic(name)) {
      NX_CHECK(map_nic(name, value, present, out));
      has_network = true;
    } else if (is_machine_setting(name)) {
      out.params[name] = value;
    } else {
      return refuse(annotation, "a virtual machine has no such setting");
    }
  }
  const std::string& usual = cluster.setup().network;
  // One that is there has the network that it was made with, whatever is configured by now.
  const bool is_there = present.empty() || present.contains("net0");
  if (!has_network && !usual.empty() && !job.image->no_network && is_there)
    NX_CHECK(map_nic("net0", usual, present, out), "proxmox.network");
  return {};
}

Result<> map_tags(const CreateJob& job, MachinePlan& out) {
  std::string& tags = out.params["tags"];
  for (const std::string& tag : split(tags, ';'))
    if (tag == pve::kTag || tag.starts_with(pve::kTagPrefix))
      return fail(Errc::InvalidConfig, std::string(pve::kAnnotation) + "tags: " + quote(tag) +
                                           ": tags that begin so are nexcage's own");
  tags = std::string(pve::kTag) + ";" + digest_tag(job.image->digest) +
         (tags.empty() ? "" : ";" + tags);
  return {};
}

Result<> map_size(const CreateJob& job, const VmSetup& machines, MachinePlan& out) {
  NX_TRY(const backends::vm::MachineSize size, backends::vm::machine_size(job.spec, machines));
  out.params["memory"] = std::to_string(size.memory / kMiB);
  out.params["cores"] = std::to_string(size.processors);
  if (!job.spec.linux_ || !job.spec.linux_->resources || !job.spec.linux_->resources->cpu)
    return {};
  const oci::CpuLimits& cpu = *job.spec.linux_->resources->cpu;
  if (cpu.period && *cpu.period != 100'000)
    return refuse("/linux/resources/cpu/period", "Proxmox VE counts in periods of 100 ms");
  if (cpu.quota.value_or(0) > 0) out.params["cpulimit"] = pve::cpu_limit(*cpu.quota);
  if (cpu.shares) out.params["cpuunits"] = std::to_string(pve::cpu_weight(*cpu.shares));
  return {};
}

/// A dns-name, as the API wants it; ids have characters that those have not.
std::string machine_name(const CreateJob& job) {
  std::string name = job.spec.hostname.empty() ? job.id : job.spec.hostname;
  for (char& c : name)
    if (c == '_' || c == '+') c = '-';
  while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
  while (name.starts_with('-') || name.starts_with('.')) name.erase(0, 1);
  return name.substr(0, 63);
}

}  // namespace

Result<MachineNic> machine_nic(const std::string& name, const std::string& value,
                               const std::string& fallback_mac) {
  constexpr std::array<std::string_view, 6> kSame = {"bridge", "firewall", "link_down",
                                                     "mtu",    "rate",     "tag"};
  constexpr std::array<std::string_view, 9> kKnown = {
      "name", "hwaddr", "ip", "ip6", "gw", "gw6", "type", "host-managed", "trunks"};
  NX_TRY(const pve::Properties net, pve::Properties::parse(value), name);
  const std::string mac = net.find("hwaddr").value_or(fallback_mac);
  MachineNic out;
  NX_TRY(out.inside.mac, mac_bytes(mac), name);
  out.inside.name = net.find("name").value_or("eth" + name.substr(3));
  constexpr std::size_t kLongestName = 15;
  if (out.inside.name.empty() || out.inside.name.size() > kLongestName)
    return fail(Errc::InvalidConfig,
                name + ": name " + quote(out.inside.name) + " has not 1 to 15 characters");
  // 1: the bridge's, which the machine learns from its device.
  const auto mtu = parse_u64(net.find("mtu").value_or("0")).value_or(0);
  if (mtu > 1) out.inside.mtu = static_cast<std::uint32_t>(mtu);
  NX_CHECK(add_address(net, AF_INET, name, out.inside));
  NX_CHECK(add_address(net, AF_INET6, name, out.inside));
  pve::Properties setting;
  setting.set("virtio", mac);
  for (const std::string& part : split(value, ',')) {
    const std::string key = part.substr(0, part.find('='));
    if (std::ranges::find(kSame, key) != kSame.end())
      setting.set(key, net.find(key).value_or(""));
    else if (key == "trunks" && net.find(key))
      setting.set(key, *net.find(key));
    else if (std::ranges::find(kKnown, key) == kKnown.end())
      return fail(Errc::Unsupported, name + ": " + quote(key) + ": a machine's interface has none");
  }
  NX_TRY(out.setting, setting.print(name));
  return out;
}

Result<pve::Params> machine_limits(const oci::Resources& given) {
  oci::Resources others = given;
  pve::Params out;
  if (others.memory) {
    // What is named as 0 stays as it is.
    const std::int64_t limit = std::exchange(others.memory->limit, {}).value_or(0);
    if (limit > 0) out["memory"] = std::to_string(static_cast<std::uint64_t>(limit) / kMiB);
    if (limit != 0 && static_cast<std::uint64_t>(limit) < backends::vm::kLeastMemory)
      return fail(Errc::InvalidConfig, "/memory/limit: a virtual machine needs 64.0 MiB at least");
  }
  if (others.cpu) {
    const std::int64_t quota = std::exchange(others.cpu->quota, {}).value_or(0);
    const std::uint64_t period = others.cpu->period.value_or(100'000);
    if (quota != 0 && period == 100'000) others.cpu->period.reset();
    if (quota != 0) out["cpulimit"] = quota > 0 ? pve::cpu_limit(quota) : "0";
    const std::uint64_t shares = std::exchange(others.cpu->shares, {}).value_or(0);
    if (shares != 0) out["cpuunits"] = std::to_string(pve::cpu_weight(shares));
  }
  if (const std::string other = first_limit(others); !other.empty())
    return refuse(other, "Proxmox VE has no such setting of a machine");
  return out;
}

Result<MachinePlan> plan_machine_guest(const Cluster& cluster, const CreateJob& job,
                                       const VmSetup& machines, const pve::Params& present) {
  MachinePlan out;
  NX_CHECK(map_annotations(cluster, job, present, out));
  NX_CHECK(map_tags(job, out));
  NX_CHECK(map_size(job, machines, out));
  out.params["name"] = machine_name(job);
  out.params["ostype"] = "l26";
  // The agent answers; it freezes nothing before a backup.
  out.params["agent"] = "1,freeze-fs-on-backup=0";
  out.params["serial0"] = "socket";
  out.params["vga"] = "serial0";
  out.params["boot"] = "order=virtio0";
  // A kernel that cannot go on reboots at once: that is the machine's end.
  out.params["reboot"] = "0";
  if (!cluster.setup().pool.empty()) out.params.try_emplace("pool", cluster.setup().pool);
  return out;
}

}  // namespace nexcage::backends::proxmox
