// `linux.resources` of config.json, also on its own for update.
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/oci/spec_fields.h"

namespace nexcage::oci {
namespace {

constexpr std::array<std::string_view, 4> kRuleTypes = {"", "a", "b", "c"};

/// Limits of which -1 means none.
constexpr Range kLimit{-1, std::numeric_limits<std::int64_t>::max()};
/// A rule's device number; -1 means any, as containerd writes it.
constexpr Range kRuleMajor{-1, kMajor.most};
constexpr Range kRuleMinor{-1, kMinor.most};

std::string access_letters(std::string_view text) {
  return text.find_first_not_of("rwm") == std::string_view::npos
             ? ""
             : "must be made of r, w and m, is " + quote(text);
}

/// The name of a file in a cgroup's directory.
std::string cgroup_file(std::string_view text) {
  if (text.empty() || text == "." || text == ".." || text.find('/') != std::string_view::npos)
    return "must be a cgroup file such as memory.high, is " + quote(text);
  return printable(text);
}

/// "2MB", as the files of the hugetlb controller are named.
std::string page_size(std::string_view text) {
  const bool good = text.size() > 2 && text.ends_with('B') &&
                    std::string_view("KMG").find(text[text.size() - 2]) != std::string_view::npos &&
                    text.front() != '0' && parse_u64(text.substr(0, text.size() - 2));
  return good ? "" : "must be a page size such as 2MB, is " + quote(text);
}

std::string device_name(std::string_view text) {
  return text.empty() ? not_empty(text) : printable(text);
}

void forget_any(std::optional<std::int64_t>& number) {
  if (number && *number < 0) number.reset();
}

}  // namespace

static Result<> read(const Node& node, DeviceRule& out) {
  std::string type;
  Fields fields(node);
  fields.required("allow", out.allow);
  fields.optional("type", type, OneOf{kRuleTypes});
  if (!type.empty()) out.type = type[0];
  fields.optional("major", out.major, kRuleMajor);
  fields.optional("minor", out.minor, kRuleMinor);
  forget_any(out.major);
  forget_any(out.minor);
  fields.optional("access", out.access, access_letters);
  return std::move(fields).done();
}

static Result<> read(const Node& node, MemoryLimits& out) {
  Fields fields(node);
  fields.optional("limit", out.limit, kLimit);
  fields.optional("reservation", out.reservation, kLimit);
  fields.optional("swap", out.swap, kLimit);
  fields.optional("kernel", out.kernel, kLimit);
  fields.optional("kernelTCP", out.kernel_tcp, kLimit);
  fields.optional("swappiness", out.swappiness, Range{0, 100});
  fields.optional("disableOOMKiller", out.disable_oom_killer);
  fields.optional("useHierarchy", out.use_hierarchy);
  fields.optional("checkBeforeUpdate", out.check_before_update);
  return std::move(fields).done();
}

static Result<> read(const Node& node, CpuLimits& out) {
  Fields fields(node);
  fields.optional("shares", out.shares);
  fields.optional("quota", out.quota, kLimit);
  fields.optional("burst", out.burst);
  fields.optional("period", out.period);
  fields.optional("realtimeRuntime", out.realtime_runtime, kLimit);
  fields.optional("realtimePeriod", out.realtime_period);
  fields.optional("cpus", out.cpus, cpu_list);
  fields.optional("mems", out.mems, cpu_list);
  fields.optional("idle", out.idle, Range{0, 1});
  const std::int64_t quota = out.quota.value_or(-1);
  if (quota > 0 && out.burst.value_or(0) > static_cast<std::uint64_t>(quota))
    fields.refuse("burst", "must not exceed quota");
  return std::move(fields).done();
}

static Result<> read(const Node& node, BlockWeight& out) {
  Fields fields(node);
  fields.required("major", out.major, kMajor);
  fields.required("minor", out.minor, kMinor);
  fields.optional("weight", out.weight);
  fields.optional("leafWeight", out.leaf_weight);
  if (!out.weight && !out.leaf_weight)
    fields.refuse("weight", "weight or leafWeight must be given");
  return std::move(fields).done();
}

static Result<> read(const Node& node, BlockThrottle& out) {
  Fields fields(node);
  fields.required("major", out.major, kMajor);
  fields.required("minor", out.minor, kMinor);
  fields.required("rate", out.rate);
  return std::move(fields).done();
}

static Result<> read(const Node& node, BlockIo& out) {
  Fields fields(node);
  fields.optional("weight", out.weight);
  fields.optional("leafWeight", out.leaf_weight);
  fields.optional("weightDevice", out.weight_device);
  fields.optional("throttleReadBpsDevice", out.read_bps);
  fields.optional("throttleWriteBpsDevice", out.write_bps);
  fields.optional("throttleReadIOPSDevice", out.read_iops);
  fields.optional("throttleWriteIOPSDevice", out.write_iops);
  return std::move(fields).done();
}

static Result<> read(const Node& node, HugepageLimit& out) {
  Fields fields(node);
  fields.required("pageSize", out.page_size, page_size);
  fields.required("limit", out.limit);
  return std::move(fields).done();
}

static Result<> read(const Node& node, InterfacePriority& out) {
  Fields fields(node);
  fields.required("name", out.name, interface_name);
  fields.required("priority", out.priority);
  return std::move(fields).done();
}

static Result<> read(const Node& node, NetworkLimits& out) {
  Fields fields(node);
  fields.optional("classID", out.class_id);
  fields.optional("priorities", out.priorities);
  return std::move(fields).done();
}

static Result<> read(const Node& node, Rdma& out) {
  Fields fields(node);
  fields.optional("hcaHandles", out.hca_handles);
  fields.optional("hcaObjects", out.hca_objects);
  if (!out.hca_handles && !out.hca_objects)
    fields.refuse("hcaHandles", "hcaHandles or hcaObjects must be given");
  return std::move(fields).done();
}

namespace {

/// `pids` is an object with one field; only the field is kept.
struct Pids {
  std::optional<std::int64_t> limit;
};

}  // namespace

static Result<> read(const Node& node, Pids& out) {
  Fields fields(node);
  fields.optional("limit", out.limit, kLimit);
  return std::move(fields).done();
}

Result<> read(const Node& node, Resources& out) {
  Pids pids;
  Fields fields(node);
  fields.optional("devices", out.devices);
  fields.optional("memory", out.memory);
  fields.optional("cpu", out.cpu);
  fields.optional("pids", pids);
  fields.optional("blockIO", out.block_io);
  fields.optional("hugepageLimits", out.hugepage_limits);
  fields.optional("network", out.network);
  fields.optional("rdma", out.rdma, Keys{device_name});
  fields.optional("unified", out.unified, Keys{cgroup_file});
  out.pids_limit = pids.limit;
  return std::move(fields).done();
}

Result<Resources> parse_resources(const json::Value& value, std::string_view at) {
  Resources resources;
  NX_CHECK(read(Node(value, at, Errc::InvalidSpec), resources));
  return resources;
}

}  // namespace nexcage::oci
