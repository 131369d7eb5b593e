// Where everything lies. This file builds those that several use.
//
//   {root}/{id}/                0700  state of one container
//     state.json                      backends::Record
//     config.json                     the spec as it was at creation
//     lock                            flock: one life-cycle verb at a time
//     start.sock ...                  the backend's own
//   {root}/@undo/{id}           0600  undo log of a verb in progress (undo.h)
//   {root}/@network/{id}/       0700  a container's network: attachment.json, netns (network.h)
//   {containers}/{id}/          0711  bundle of an image-form container
//     config.json, request.json, owner, ctr.log
//     hosts, hostname, resolv.conf    mounted into the container
//     mounts/{id}/                    the layers, mounted
//     {id}/rootfs/                    the container's file system
//     upper/                          what the container writes (storage "local")
//     generations.json, generations/  the roots that updates keep (generations.h)
//     exchange.json, update/          an update in progress (exchange.h, new_root.h)
//   {containers}/@guests/{id}/  0700  record of a Proxmox VE guest (guests.h)
//   {images}/containers/{id}/info.json
//
// '@' cannot occur in a container id, so our own names never meet one.
#pragma once

#include <sys/types.h>

#include <string>

#include "nexcage/runtime/settings.h"

namespace nexcage::runtime {

/// Of a directory that has a container's file system in it: its processes pass, nobody else looks.
inline constexpr mode_t kTreeMode = 0711;

class Paths {
 public:
  explicit Paths(const Settings& settings) : settings_(settings) {}
  std::string state_dir(const std::string& id) const { return settings_.root + "/" + id; }
  std::string undo_dir() const { return settings_.root + "/@undo"; }
  std::string network_dir(const std::string& id) const {
    return settings_.root + "/@network/" + id;
  }
  std::string bundle(const std::string& id) const { return settings_.containers + "/" + id; }
  std::string info_dir(const std::string& id) const {
    return settings_.images + "/containers/" + id;
  }
  static std::string layers_mount(const std::string& bundle, const std::string& id) {
    return bundle + "/mounts/" + id;
  }
  static std::string rootfs(const std::string& bundle, const std::string& id) {
    return bundle + "/" + id + "/rootfs";
  }

 private:
  const Settings& settings_;
};

}  // namespace nexcage::runtime
