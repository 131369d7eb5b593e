// What the configuration decides, as plain values. cli/ reads files, environment and flags into it.
#pragma once

#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/runtime/routing.h"

namespace nexcage::runtime {

struct Settings {
  std::string root = "/run/nexcage";               // [runtime] root: state, tmpfs
  std::string default_backend = "lxc";             // [runtime] default
  std::string strict_oci_version;                  // [runtime] strict_oci_version
  std::string cgroup_parent = "nexcage";           // [runtime] cgroup_parent
  int generations = 1;                             // [runtime] generations: earlier roots kept
  std::string images = "/var/lib/nexcage/images";  // [storage] images
  std::string containers =
      "/var/lib/nexcage/containers";               // [storage] containers: image-form bundles
  std::string layers = "/var/lib/nexcage/layers";  // [storage] layers
  std::string storage = "local";                   // [storage] default
  std::string zfs_dataset;                         // [zfs] dataset; empty: none
  std::string layerfs = "auto";                    // [layerfs] driver
  std::string layerfs_form = "auto";               // [layerfs] form: auto, merged, index, full
  std::string layerfs_protect = "auto";            // [layerfs] protect: auto, off
  std::string conmon = "conmon";                   // [monitor] conmon: name on PATH or path
  std::string network = "bridge";                  // [network] default, as --network takes it
  std::string cni_config_dir = "/etc/cni/net.d";   // [network] cni_config_dir
  std::string cni_plugin_dir =
      "/usr/lib/cni:/opt/cni/bin";          // [network] cni_plugin_dir: joined by ':'
  std::string subnet;                       // [network] subnet; empty: chosen
  std::string pull_policy = "missing";      // [pull] policy, as --pull takes it
  int pull_parallel_layers = 4;             // [pull] parallel_layers
  int pull_connections = 4;                 // [pull] connections_per_layer
  int pull_retries = 5;                     // [pull] retries
  int pull_stall_timeout = 30;              // [pull] stall_timeout, seconds
  int hook_timeout = 0;                     // [hooks] timeout, seconds; 0: none
  std::string crun = "crun";                // [runtime.crun] path: name on PATH or path
  std::string runc = "runc";                // [runtime.runc] path
  std::string vm_kernel, vm_initrd;         // [vm] kernel, initrd; empty: that of `vm setup`
  std::string qemu = "qemu-system-x86_64";  // [vm] qemu: name on PATH or path
  std::string vm_accelerator = "auto";      // [vm] accelerator: auto, kvm, tcg
  std::string vm_board = "microvm";         // [vm] board: microvm, q35
  std::string vm_memory = "512m";           // [vm] memory of a machine without a limit
  int vm_boot_timeout = 120;                // [vm] boot_timeout, seconds
  backends::ProxmoxSetup proxmox{};         // [proxmox]
  std::vector<RouteRule> rules;             // [[runtime.rule]], in their order
  backends::Invocation invocation;          // for runtimes that we become
  std::string libexec;                      // directory of the helpers
};

}  // namespace nexcage::runtime
