#include "nexcage/cli/update_args.h"

#include <fcntl.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"

namespace nexcage::cli {
namespace {

using Text = std::optional<std::string>;

/// How an option's text becomes a member of linux.resources.
enum class Kind : std::uint8_t { number, bytes, text };

struct Member {
  std::string_view option;
  const Text& value;
  std::string_view section, name;  // "memory", "limit"
  Kind kind;
};

std::vector<Member> members(const UpdateArgs& args) {
  using enum Kind;
  return {
      {"--blkio-weight", args.blkio_weight, "blockIO", "weight", number},
      {"--cpu-period", args.cpu_period, "cpu", "period", number},
      {"--cpu-quota", args.cpu_quota, "cpu", "quota", number},
      {"--cpu-burst", args.cpu_burst, "cpu", "burst", number},
      {"--cpu-share", args.cpu_share, "cpu", "shares", number},
      {"--cpu-idle", args.cpu_idle, "cpu", "idle", number},
      {"--cpu-rt-period", args.cpu_rt_period, "cpu", "realtimePeriod", number},
      {"--cpu-rt-runtime", args.cpu_rt_runtime, "cpu", "realtimeRuntime", number},
      {"--cpuset-cpus", args.cpuset_cpus, "cpu", "cpus", text},
      {"--cpuset-mems", args.cpuset_mems, "cpu", "mems", text},
      {"--memory", args.memory, "memory", "limit", bytes},
      {"--memory-reservation", args.memory_reservation, "memory", "reservation", bytes},
      {"--memory-swap", args.memory_swap, "memory", "swap", bytes},
      {"--kernel-memory", args.kernel_memory, "memory", "kernel", bytes},
      {"--kernel-memory-tcp", args.kernel_memory_tcp, "memory", "kernelTCP", bytes},
      {"--pids-limit", args.pids_limit, "pids", "limit", number},
  };
}

Result<json::Value> value_of(const Member& member) {
  const std::string& text = *member.value;
  if (member.kind == Kind::text) return json::Value(text);
  if (const auto number = parse_i64(text)) return json::Value(*number);
  if (member.kind == Kind::bytes) {
    if (const auto bytes = parse_bytes(text);
        bytes && *bytes <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return json::Value(static_cast<std::int64_t>(*bytes));
    return fail(Errc::InvalidSpec, quote(text) + ": expected a size such as 512m, or -1");
  }
  return fail(Errc::InvalidSpec, quote(text) + ": expected a number");
}

Result<json::Value> read_document(const std::string& file) {
  constexpr std::size_t kMostBytes = 4U << 20;
  if (file != "-") {
    NX_TRY(const std::string text, sys::read_file(AT_FDCWD, file, kMostBytes));
    return json::parse(text);
  }
  NX_TRY(const std::string text, sys::read_all(STDIN_FILENO, kMostBytes));
  return json::parse(text);
}

}  // namespace

void UpdateArgs::declare(Options& options) {
  options
      .text("-r,--resources", "FILE", resources_file,
            "read linux.resources as JSON from this file, - for standard input")
      .text("--memory", "SIZE", memory, "limit of memory: 64m, 1g; -1: none")
      .text("--memory-reservation", "SIZE", memory_reservation, "memory kept under pressure")
      .text("--memory-swap", "SIZE", memory_swap, "limit of memory and swap together; -1: none")
      .text("--kernel-memory", "SIZE", kernel_memory, "limit of kernel memory (cgroup version 1)")
      .text("--kernel-memory-tcp", "SIZE", kernel_memory_tcp,
            "limit of TCP buffers (cgroup version 1)")
      .text("--cpu-share", "N", cpu_share, "weight of processor time, 2 to 262144")
      .text("--cpu-period", "USEC", cpu_period, "period of the quota")
      .text("--cpu-quota", "USEC", cpu_quota, "processor time in a period; -1: no limit")
      .text("--cpu-burst", "USEC", cpu_burst, "time that may be saved up for later periods")
      .text("--cpu-idle", "0|1", cpu_idle, "run only when nothing else wants to")
      .text("--cpu-rt-period", "USEC", cpu_rt_period, "period of real-time processes")
      .text("--cpu-rt-runtime", "USEC", cpu_rt_runtime, "their time in a period")
      .text("--cpuset-cpus", "LIST", cpuset_cpus, "processors: 0-2,7")
      .text("--cpuset-mems", "LIST", cpuset_mems, "memory nodes")
      .text("--pids-limit", "N", pids_limit, "limit of processes; -1: none")
      .text("--blkio-weight", "N", blkio_weight, "weight of block I/O, 10 to 1000")
      .text("--l3-cache-schema", "TEXT", l3_cache_schema, "Intel RDT: refused, not managed")
      .text("--mem-bw-schema", "TEXT", mem_bw_schema, "Intel RDT: refused, not managed");
}

bool UpdateArgs::given() const {
  const auto all = members(*this);
  return resources_file || l3_cache_schema || mem_bw_schema ||
         std::ranges::any_of(all, [](const Member& member) { return member.value.has_value(); });
}

Result<oci::Resources> UpdateArgs::resources() const {
  if (l3_cache_schema || mem_bw_schema)
    return fail(Errc::Unsupported,
                "--l3-cache-schema, --mem-bw-schema: Intel RDT groups are not managed");
  if (!resources_file) return from_options();
  for (const Member& member : members(*this))
    if (member.value)
      return fail(Error(Errc::InvalidSpec,
                        std::string(member.option) + " and --resources exclude each other")
                      .hint("Put the limit into the file."));
  const std::string where = "--resources " + *resources_file;
  NX_TRY(const json::Value document, read_document(*resources_file), where);
  NX_TRY(oci::Resources resources, oci::parse_resources(document), where);
  return resources;
}

Result<oci::Resources> UpdateArgs::from_options() const {
  // As JSON first: the same rules hold for options and for files. After each one, so that an error
  // can name its option.
  json::Object document;
  for (const Member& member : members(*this)) {
    if (!member.value) continue;
    NX_TRY(json::Value value, value_of(member), std::string(member.option));
    json::Object section;
    if (const json::Value* earlier = document.find(member.section)) section = *earlier->if_object();
    section.set(std::string(member.name), std::move(value));
    document.set(std::string(member.section), std::move(section));
    NX_CHECK(oci::parse_resources(document), std::string(member.option));
  }
  return oci::parse_resources(document);
}

}  // namespace nexcage::cli
