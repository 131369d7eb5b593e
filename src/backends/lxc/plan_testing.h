// Hosts and specs for the planner's tests.
#pragma once

#include <string>

#include "nexcage/backends/lxc/plan.h"

namespace nexcage::backends::lxc {

inline HostFacts facts_v1() {
  HostFacts facts;
  int id = 1;
  for (const char* controller :
       {"memory", "cpu", "cpuset", "pids", "devices", "freezer", "blkio", "net_cls"})
    facts.cgroups.hierarchies.push_back(
        {.id = id++,
         .controllers = {controller},
         .mount_point = std::string("/sys/fs/cgroup/") + controller});
  return facts;
}

inline HostFacts facts_v2() {
  HostFacts facts;
  facts.cgroups.hierarchies.push_back(
      {.id = 0,
       .controllers = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"},
       .mount_point = "/sys/fs/cgroup"});
  return facts;
}

/// The smallest spec that this backend takes.
inline oci::Spec small_spec() {
  oci::Spec spec;
  spec.oci_version = "1.0.2";
  spec.root = oci::Root{.path = "/b/rootfs", .readonly = false};
  spec.process = oci::Process{};
  spec.process->args = {"/bin/true"};
  spec.process->cwd = "/";
  spec.linux_ = oci::Linux{};
  spec.linux_->namespaces = {{.type = oci::NamespaceType::mount, .path = ""},
                             {.type = oci::NamespaceType::pid, .path = ""}};
  return spec;
}

}  // namespace nexcage::backends::lxc
