// `linux.resources` of the spec as JSON. Members in the order of specs-go.
#include "nexcage/oci/spec_fields.h"
#include "nexcage/oci/spec_out.h"

namespace nexcage::oci {

static json::Value write(const DeviceRule& value) {
  Out out;
  out.always("allow", value.allow);
  if (value.type != 'a') out.always("type", std::string(1, value.type));
  out.some("major", value.major);
  out.some("minor", value.minor);
  out.some("access", value.access);
  return std::move(out).take();
}

static json::Value write(const MemoryLimits& value) {
  Out out;
  out.some("limit", value.limit);
  out.some("reservation", value.reservation);
  out.some("swap", value.swap);
  out.some("kernel", value.kernel);
  out.some("kernelTCP", value.kernel_tcp);
  out.some("swappiness", value.swappiness);
  out.some("disableOOMKiller", value.disable_oom_killer);
  out.some("useHierarchy", value.use_hierarchy);
  out.some("checkBeforeUpdate", value.check_before_update);
  return std::move(out).take();
}

static json::Value write(const CpuLimits& value) {
  Out out;
  out.some("shares", value.shares);
  out.some("quota", value.quota);
  out.some("burst", value.burst);
  out.some("period", value.period);
  out.some("realtimeRuntime", value.realtime_runtime);
  out.some("realtimePeriod", value.realtime_period);
  out.some("cpus", value.cpus);
  out.some("mems", value.mems);
  out.some("idle", value.idle);
  return std::move(out).take();
}

static json::Value write(const BlockWeight& value) {
  Out out;
  out.always("major", value.major);
  out.always("minor", value.minor);
  out.some("weight", value.weight);
  out.some("leafWeight", value.leaf_weight);
  return std::move(out).take();
}

static json::Value write(const BlockThrottle& value) {
  Out out;
  out.always("major", value.major);
  out.always("minor", value.minor);
  out.always("rate", value.rate);
  return std::move(out).take();
}

static json::Value write(const BlockIo& value) {
  Out out;
  out.some("weight", value.weight);
  out.some("leafWeight", value.leaf_weight);
  out.some("weightDevice", value.weight_device);
  out.some("throttleReadBpsDevice", value.read_bps);
  out.some("throttleWriteBpsDevice", value.write_bps);
  out.some("throttleReadIOPSDevice", value.read_iops);
  out.some("throttleWriteIOPSDevice", value.write_iops);
  return std::move(out).take();
}

static json::Value write(const HugepageLimit& value) {
  Out out;
  out.always("pageSize", value.page_size);
  out.always("limit", value.limit);
  return std::move(out).take();
}

static json::Value write(const InterfacePriority& value) {
  Out out;
  out.always("name", value.name);
  out.always("priority", value.priority);
  return std::move(out).take();
}

static json::Value write(const NetworkLimits& value) {
  Out out;
  out.some("classID", value.class_id);
  out.some("priorities", value.priorities);
  return std::move(out).take();
}

static json::Value write(const Rdma& value) {
  Out out;
  out.some("hcaHandles", value.hca_handles);
  out.some("hcaObjects", value.hca_objects);
  return std::move(out).take();
}

json::Value write(const Resources& value) {
  Out out;
  out.some("devices", value.devices);
  out.some("memory", value.memory);
  out.some("cpu", value.cpu);
  if (value.pids_limit) {
    Out pids;
    pids.always("limit", *value.pids_limit);
    out.object("pids", std::move(pids).take());
  }
  out.some("blockIO", value.block_io);
  out.some("hugepageLimits", value.hugepage_limits);
  out.some("network", value.network);
  out.some("rdma", value.rdma);
  out.some("unified", value.unified);
  return std::move(out).take();
}

}  // namespace nexcage::oci
