// How a cluster is reached: what the front says, and the secrets that only the helper reads.
#pragma once

#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/registry/client/http.h"
#include "nexcage/registry/secret.h"

namespace nexcage::pve::client {

struct Access {
  std::vector<std::string> hosts;  // "host:port", in the order in which they are tried
  registry::Secret token;          // "USER@REALM!NAME=SECRET"; else a ticket is asked for
  std::string user;                // "root@pam"
  registry::Secret password;
  std::vector<std::string> fingerprints;  // pinned: certificates of the hosts; else verified by CA
  registry::client::TlsMaterial tls;      // with the CA's file
  std::vector<std::string> readable;      // files and directories that uploads come from
};

/// From the object {"hosts": [...], "token_file", "user", "password_file", "ca_file",
/// "fingerprints": [...], "certificate_file", "readable": [...]} and the variables
/// NEXCAGE_PVE_TOKEN and NEXCAGE_PVE_PASSWORD. ConfigError when there is neither token nor
/// password, or no host.
Result<Access> read_access(const json::Value& request);

}  // namespace nexcage::pve::client
