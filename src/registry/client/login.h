// Whether a registry takes the credential of an endpoint.
#pragma once

#include "nexcage/registry/client/blob_fetch.h"
#include "nexcage/registry/client/remote.h"

namespace nexcage::registry::client {

/// GET /v2/ with the endpoint's credential. PermissionDenied when it is refused; RegistryError when
/// no registry answers there. A registry that asks nobody for anything takes every credential.
Result<> check_login(Remote& remote);

}  // namespace nexcage::registry::client
