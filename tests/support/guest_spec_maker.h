// Random runtime specs of what a Proxmox VE guest can be.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "nexcage/oci/spec.h"

namespace nexcage::testing {

class GuestSpecMaker {
 public:
  explicit GuestSpecMaker(unsigned seed) : random_(seed) {}

  oci::Spec make() {
    oci::Spec spec = oci::default_spec();
    spec.oci_version = chance(2) ? "1.0.2" : "1.2.0";
    spec.root->readonly = chance(3);
    spec.hostname = chance(4) ? "" : "host-" + word(8) + (chance(3) ? ".example.org" : "");
    make_process(*spec.process);
    make_limits(*spec.linux_->resources);
    make_mounts(spec);
    make_annotations(spec.annotations);
    return spec;
  }

 private:
  unsigned below(unsigned limit) { return limit == 0 ? 0 : random_() % limit; }
  bool chance(unsigned one_in) { return below(one_in) == 0; }
  std::string from(std::string_view letters, unsigned length) {
    std::string text;
    for (unsigned i = 0; i < length; ++i) text += letters[below(letters.size())];
    return text;
  }
  std::string word(unsigned most) { return from("abcdefghijkl0123456789", 1 + below(most)); }
  /// What people and images write: blanks, quotes, separators of our own formats, other scripts.
  std::string text(unsigned most) {
    std::string made = from("ab Z'\"\\,;=$#%:|&<>{}[]~!", below(most));
    if (chance(6)) made += "\xC3\xA4\xE2\x82\xAC";
    return made;
  }

  void make_process(oci::Process& process) {
    process.args = {"/bin/" + word(6)};
    for (unsigned i = below(5); i > 0; --i)
      process.args.push_back(text(20) + (chance(5) ? "\nline\ttab" : ""));
    process.env.clear();
    for (unsigned i = below(8); i > 0; --i) {
      std::string name = from("ABCDEFG_", 1 + below(6));
      if (chance(5)) name += chance(2) ? ".dot" : "-dash";
      process.env.push_back(name + "=" + text(30) + (chance(9) ? "\nmore" : ""));
    }
    process.cwd = chance(2) ? "/" : "/" + word(5) + "/" + word(5);
    process.no_new_privileges = chance(2);
    if (chance(2)) process.user.uid = below(65535);
    if (chance(2)) process.user.gid = below(65535);
    for (unsigned i = below(4); i > 0; --i) process.user.additional_gids.push_back(below(60000));
    if (chance(4)) process.user.umask = below(512);
  }

  void make_limits(oci::Resources& resources) {
    if (chance(2)) {
      resources.memory.emplace().limit = (16 + std::int64_t{below(100000)}) << 20;
      if (chance(2))
        resources.memory->swap = *resources.memory->limit + (std::int64_t{below(9999)} << 20);
    }
    if (chance(2)) {
      resources.cpu.emplace();
      if (chance(2)) {
        resources.cpu->quota = 1 + below(3'200'000);
        resources.cpu->period = 100'000;
      }
      if (chance(2) || !resources.cpu->quota) resources.cpu->shares = 2 + below(262'143);
    }
  }

  void make_mounts(oci::Spec& spec) {
    for (unsigned i = below(14); i > 0; --i) {
      oci::Mount mount{"/mnt/" + word(9), "bind", "/srv/" + word(9), {"rbind"}, {}, {}};
      if (chance(2)) mount.options.emplace_back("ro");
      for (const char* option : {"noatime", "nodev", "noexec", "nosuid"})
        if (chance(3)) mount.options.emplace_back(option);
      spec.mounts.push_back(std::move(mount));
    }
  }

  void make_annotations(oci::StringMap& annotations) {
    const std::string setting = "org.nexcage.proxmox.";
    for (unsigned i = below(3); i > 0; --i) annotations["com.example." + word(6)] = text(20) + "\n";
    for (unsigned i = below(3); i > 0; --i)
      annotations[setting + "net" + std::to_string(i - 1)] =
          "name=eth" + std::to_string(i) + ",bridge=vmbr0" +
          (chance(2) ? ",tag=" + std::to_string(2 + below(4000)) : "") +
          (chance(2) ? ",ip=dhcp"
                     : ",ip=10.0.0." + std::to_string(1 + below(250)) + "/24,gw=10.0.0.1");
    if (chance(3))
      annotations[setting + "mp7"] = "local:" + std::to_string(1 + below(9)) + ",mp=/data,backup=1";
    if (chance(3)) annotations[setting + "cores"] = std::to_string(1 + below(64));
    if (chance(3)) annotations[setting + "onboot"] = chance(2) ? "1" : "0";
    if (chance(3)) annotations[setting + "tags"] = "a" + word(5) + ";b" + word(5);
    if (chance(4)) annotations[setting + "features"] = "nesting=1";
    if (chance(4)) annotations[setting + "startup"] = "order=" + std::to_string(1 + below(9));
    if (chance(4)) annotations[setting + "nameserver"] = "192.0.2.1";
    if (chance(4))
      annotations["org.opencontainers.image.stopSignal"] = chance(2) ? "SIGQUIT" : "SIGRTMIN+3";
    if (chance(9)) annotations[setting + "unprivileged"] = "0";
  }

  std::minstd_rand random_;
};

}  // namespace nexcage::testing
