// What the QEMU guest agent is asked about the machine itself (QEMU, qga/qapi-schema.json).
#pragma once

#include "nexcage/json/value.h"

namespace nexcage::keeper {

/// GuestOSInfo: the kernel's part of it. What the container calls itself is its own affair.
json::Value system_facts();

/// A list of GuestNetworkInterface: names, hardware addresses, addresses.
json::Value network_facts();

}  // namespace nexcage::keeper
