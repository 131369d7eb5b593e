// What a helper keeps that makes the files of an image.
#pragma once

#include <linux/capability.h>

#include "nexcage/sys/caps.h"

namespace nexcage::helpers {

constexpr sys::CapSet capability_bit(int capability) { return sys::CapSet{1} << capability; }

/// Files of any owner, mode, type and attribute. CAP_SYS_ADMIN is for the trusted.* attributes, by
/// which overlayfs knows an opaque directory.
inline constexpr sys::CapSet kUnpackCapabilities =
    capability_bit(CAP_CHOWN) | capability_bit(CAP_DAC_OVERRIDE) | capability_bit(CAP_FOWNER) |
    capability_bit(CAP_FSETID) | capability_bit(CAP_MKNOD) | capability_bit(CAP_SETFCAP) |
    capability_bit(CAP_SYS_ADMIN);

}  // namespace nexcage::helpers
