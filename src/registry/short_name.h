// What an image's name means when it has no registry: aliases and search registries of
// registries.conf, as Podman has them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/registries_conf.h"

namespace nexcage::registry {

/// Full names to try, in this order, and how they were found.
struct Candidates {
  std::vector<oci::Reference> references;
  std::string why;  // one line to be shown; empty when the name was full
};

/// The names that a name can be pulled from: an alias, else each of unqualified-search-registries.
/// `files` names the configuration for messages; empty: there is none, and the hub is meant, as in
/// Docker. InvalidSpec for what is no reference; ImageNotFound in Podman's words when nothing is
/// configured, or when several registries are and the mode is enforcing: nexcage never asks.
Result<Candidates> pull_candidates(const RegistriesConf& conf, std::string_view name,
                                   const std::string& files);

/// The names that a name can have in the store: the alias, the name as Docker completes it,
/// localhost/NAME, and each search registry.
Result<std::vector<oci::Reference>> local_candidates(const RegistriesConf& conf,
                                                     std::string_view name);

}  // namespace nexcage::registry
