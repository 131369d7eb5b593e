// The notes of a guest: a line for people, and what nexcage must find again, whoever asks, from
// whichever machine.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"

namespace nexcage::pve {

/// A root file system that a guest had before an update, and what was set with it. The notes hold
/// no more of it than the first three: everybody who sees the guest reads them.
struct Generation {
  std::string volume;  // "local:300/vm-300-disk-0.raw,size=4G"
  std::string image, digest;
  std::map<std::string, std::string> settings{};  // those of the image: env, entrypoint ...
  json::Object rest{};                            // Mapped::rest
};
/// All of it, for files that only their owner reads.
json::Value to_json(const Generation& one);
Generation generation_from_json(const json::Value& value);

struct Notes {
  std::string token;  // random: the guest is the one that this record speaks of, and no other
  std::string id;
  std::string image, digest;
  json::Object rest;             // Mapped::rest
  std::vector<Generation> kept;  // newest first
};

/// The description of the guest. InvalidConfig when it is longer than Proxmox VE takes (8192).
Result<std::string> print_notes(const Notes& notes);
/// nullopt for a description without a record of ours.
std::optional<Notes> parse_notes(std::string_view description);

json::Value to_json(const Notes& notes);
std::optional<Notes> notes_from_json(const json::Value& value);

}  // namespace nexcage::pve
