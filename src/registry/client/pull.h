// Pulling an image: from a plan's endpoints to verified files in the staging directory. Whoever
// asked for it links them into the store.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/json/value.h"
#include "nexcage/oci/image.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/client/blob_fetch.h"
#include "nexcage/registry/client/tar_staging.h"
#include "nexcage/registry/endpoint.h"
#include "nexcage/registry/trust.h"

namespace nexcage::registry::client {

struct PullRequest {
  std::string images;  // root of the store
  oci::Reference reference;
  oci::Platform platform;
  std::vector<Endpoint> endpoints;       // in the order to be tried
  std::optional<oci::Digest> if_digest;  // what the store has under this name
  Trust trust;                           // what the image must prove
  std::string tars;  // directory for inflated layers (tar_staging.h); empty: none are kept
  FetchSettings settings;
};
/// InvalidJson or InvalidSpec naming the member.
Result<PullRequest> parse_pull_request(const json::Value& value);
/// The member "settings": numbers; absent ones keep their default.
Result<FetchSettings> parse_settings(const json::Value& request);

/// Everything a pull needs from outside, opened before the process is confined.
struct PullPlace {
  Staging staging;
  std::optional<TarStaging> tars;
  std::vector<EndpointTls> tls;  // one for each endpoint
};
Result<PullPlace> prepare_pull(const PullRequest& request);

/// The answer of `image pull` (docs/registry-helper.md). ImageNotFound, PermissionDenied,
/// RegistryError, Timeout, InvalidImage, FileError; with several endpoints the error is the last
/// one's and names the others.
Result<json::Value> run_pull(const PullRequest& request, PullPlace place, Events& events);

}  // namespace nexcage::registry::client
