// Programs docker-credential-NAME (docker/docker-credential-helpers): get, store, erase and list by
// argument vector, the request on standard input, the answer on standard output. What a helper says
// on success is never part of a message.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/registry/endpoint.h"

namespace nexcage::registry {

/// The server's credential, nullopt when the helper has none. RuntimeNotAvailable when there is no
/// such program on PATH, Timeout after a minute, RegistryError with the helper's own words
/// otherwise. The user name "<token>" makes it an identity token, as in Docker.
Result<std::optional<Credential>> get_credential(const std::string& helper,
                                                 const std::string& server);
/// Keeps user and password there. The errors of get_credential.
Result<> store_credential(const std::string& helper, const std::string& server,
                          const std::string& username, const Secret& password);
/// Forgets the server's credential; false when the helper had none.
Result<bool> erase_credential(const std::string& helper, const std::string& server);
/// The servers that the helper knows.
Result<std::vector<std::string>> list_credentials(const std::string& helper);

}  // namespace nexcage::registry
