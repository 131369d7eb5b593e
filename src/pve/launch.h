// What the first process of a guest is to run. Proxmox VE takes one line for it, which LXC splits
// by rules of its own, and neither user, directory nor signal. So the template holds a small
// program (src/helpers/launch.cc), and this record tells it the rest: as the guest's variable
// NEXCAGE_RUN, or in the template's file /.nexcage/run where the guest has no variable.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/spec.h"

namespace nexcage::pve {

inline constexpr std::string_view kLauncher = "/.nexcage/launch";
inline constexpr std::string_view kLaunchFile = "/.nexcage/run";
inline constexpr std::string_view kLaunchVariable = "NEXCAGE_RUN";

struct Launch {
  std::vector<std::string> args{};
  std::string cwd = "/";
  oci::User user{};
  bool no_new_privileges = false;
  int stop_signal = 15;
  /// Variables, "NAME=value", that the guest's own setting cannot hold, each with its place among
  /// all of the process; in the template's file: all.
  std::vector<std::pair<unsigned, std::string>> env{};
};
bool operator==(const Launch& a, const Launch& b);

/// The record as bytes: fields that end in NUL, in the order that src/helpers/launch.cc reads.
std::string encode(const Launch& launch);
/// The same as text for a variable: Base64.
std::string encode_text(const Launch& launch);
/// InvalidConfig for what encode_text did not make.
Result<Launch> decode_text(std::string_view text);

}  // namespace nexcage::pve
