// The options of `update` and the resources they describe.
#pragma once

#include <optional>
#include <string>

#include "nexcage/base/error.h"
#include "nexcage/cli/options.h"
#include "nexcage/oci/spec.h"

namespace nexcage::cli {

struct UpdateArgs {
  std::optional<std::string> resources_file;
  std::optional<std::string> blkio_weight;
  std::optional<std::string> cpu_period, cpu_quota, cpu_burst, cpu_share, cpu_idle;
  std::optional<std::string> cpu_rt_period, cpu_rt_runtime, cpuset_cpus, cpuset_mems;
  std::optional<std::string> memory, memory_reservation, memory_swap;
  std::optional<std::string> kernel_memory, kernel_memory_tcp;
  std::optional<std::string> pids_limit;
  std::optional<std::string> l3_cache_schema, mem_bw_schema;

  void declare(Options& options);
  /// Is there any?
  bool given() const;
  /// From the file, "-" being standard input, or from the other options. InvalidSpec naming the
  /// option, and for options beside --resources, which would be lost.
  Result<oci::Resources> resources() const;
  /// From the other options alone. Pure.
  Result<oci::Resources> from_options() const;
};

}  // namespace nexcage::cli
