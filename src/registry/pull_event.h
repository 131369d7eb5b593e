// What the helper tells while it pulls or pushes, as values (registry/client/events.h writes them).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nexcage/json/value.h"

namespace nexcage::registry {

struct PullEvent {
  enum class Kind : std::uint8_t { endpoint, resolved, progress, blob, retry };
  enum class State : std::uint8_t { waiting, present, mounted, started, resumed, verifying, done };
  struct Layer {
    std::string digest;
    std::uint64_t size = 0;  // bytes
  };
  Kind kind{};
  std::string url;                    // endpoint
  std::string digest;                 // resolved: the manifest's; progress, blob: the blob's
  std::vector<Layer> layers;          // resolved
  std::uint64_t bytes = 0;            // progress: so far
  std::uint64_t size = 0;             // progress: of the blob; resolved: of the image
  State state{};                      // blob
  std::string what, why;              // retry; from the network, so not to be shown as they are
  std::chrono::milliseconds delay{};  // retry
};

/// nullopt for an event that this version does not know.
std::optional<PullEvent> parse_pull_event(const json::Value& value);

}  // namespace nexcage::registry
