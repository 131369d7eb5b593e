// Pushing an image of the store: its blobs, then its documents, the outermost last.
#pragma once

#include <string>
#include <vector>

#include "nexcage/image/layout.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/image.h"
#include "nexcage/oci/reference.h"
#include "nexcage/registry/client/blob_fetch.h"
#include "nexcage/registry/client/upload.h"

namespace nexcage::registry::client {

struct PushRequest {
  std::string images;                   // root of the store
  oci::Digest manifest;                 // what to push: a manifest or an index
  oci::Reference reference;             // under which tag (or digest)
  std::vector<Endpoint> endpoints;      // the first that answers is pushed to
  std::vector<std::string> mount_from;  // repositories there that may have its blobs
  FetchSettings settings;
  UploadSettings upload;
};
/// InvalidJson or InvalidSpec naming the member.
Result<PushRequest> parse_push_request(const json::Value& value);
/// "endpoint": {...} or "endpoints": [...], one at least.
Result<std::vector<Endpoint>> parse_endpoints(const json::Value& request);

/// The answer of `image push` (docs/registry-helper.md). InvalidImage for an image of which
/// something is missing, and as run_pull() for the rest.
Result<json::Value> run_push(const PushRequest& request, const image::Layout& layout,
                             std::vector<EndpointTls> tls, Events& events);

}  // namespace nexcage::registry::client
