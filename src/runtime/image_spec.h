// From an image's configuration and the command line to a runtime spec: pure.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/oci/spec.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/settings.h"

namespace nexcage::runtime {

/// What the spec cannot say yet because only the container's file system knows it.
struct PendingUser {
  std::string text;  // "name[:group]", "uid[:gid]" or empty (root)
};

struct ImageSpec {
  oci::Spec spec;
  PendingUser user;
  std::vector<std::string> volumes;  // directories that the image declares
};

/// Entrypoint and Cmd as Docker and Podman combine them; the command line's environment over the
/// image's; resources, mounts, annotations. InvalidSpec when there is nothing to execute or a value
/// cannot be in a spec (control characters, relative paths): data of an image is checked exactly
/// as a config.json is.
Result<ImageSpec> spec_from_image(const oci::ImageConfig& image, const ImageSource& wanted,
                                  const std::string& id, const std::string& image_name);

}  // namespace nexcage::runtime
