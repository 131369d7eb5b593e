// The image of a guest: verified, its accounts read, its archive made when it is asked for.
#pragma once

#include <memory>
#include <string>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/image/store.h"
#include "nexcage/runtime/request.h"
#include "nexcage/runtime/runtime.h"

namespace nexcage::runtime {

/// An image and the spec that it and the options make. The job of the backend refers to it.
struct GuestPlan {
  oci::Spec spec;
  backends::GuestImage image;
  std::string work;  // directory for archives, removed with this
  GuestPlan() = default;
  GuestPlan(const GuestPlan&) = delete;
  GuestPlan& operator=(const GuestPlan&) = delete;
  ~GuestPlan();
};

/// The distribution that an os-release(5) names by its ID, as Proxmox VE calls it; empty: none.
std::string os_id(const std::string& os_release);

/// Finds or pulls the image, completes the spec and looks up its user. ImageNotFound, InvalidImage,
/// InvalidSpec (an unknown user is an error).
Result<std::unique_ptr<GuestPlan>> plan_guest_image(const std::string& id,
                                                    const ImageSource& source, Services& with);

}  // namespace nexcage::runtime
