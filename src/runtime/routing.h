// Which backend a container gets: decided once, in phase 1, by a pure function that `nexcage route`
// shows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/regex.h"
#include "nexcage/oci/spec.h"

namespace nexcage::runtime {

/// One [[runtime.rule]] of the configuration. Every expression that is there must match.
struct RouteRule {
  std::optional<Regex> id;
  std::optional<Regex> image;  // matches the name as written or as normalised
  std::string backend;
  std::string origin;  // "/etc/nexcage/config.toml:12"
};

/// What is known of a container before it exists.
struct RouteQuery {
  std::string asked;  // --runtime or the program's name; empty: not said
  oci::StringMap annotations;
  std::string id;     // empty: not known
  std::string image;  // empty: a bundle
};

struct Route {
  std::string backend;
  std::vector<std::string> steps;  // what was looked at, in order; the last one decided
};

/// The command line, then the annotation org.nexcage.runtime, then the first rule that matches,
/// then the default.
Route route(const RouteQuery& query, const std::vector<RouteRule>& rules,
            const std::string& default_backend);

}  // namespace nexcage::runtime
