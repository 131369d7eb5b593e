#include "nexcage/registry/certs.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::registry {
namespace {

bool has(const CertsDirectory& directory, const std::string& name) {
  return std::ranges::find(directory.files, name) != directory.files.end();
}

Result<> add_pair(const CertsDirectory& directory, const std::string& certificate, Tls& out) {
  const std::string key = certificate.substr(0, certificate.size() - 5) + ".key";
  const std::string path = directory.path + "/" + certificate;
  if (!has(directory, key))
    return fail(Error(Errc::ConfigError, "client certificate " + path + " has no " + key)
                    .hint("Certificates of authorities end in .crt."));
  if (!out.client_cert.empty())
    return fail(Errc::Unsupported, "more than one client certificate for a registry: " +
                                       out.client_cert + " and " + path);
  out.client_cert = path;
  out.client_key = directory.path + "/" + key;
  return {};
}

Result<Tls> read_directory(const CertsDirectory& directory) {
  Tls out;
  std::vector<std::string> names = directory.files;
  std::ranges::sort(names);
  for (const std::string& name : names) {
    if (name.ends_with(".crt")) out.ca_files.push_back(directory.path + "/" + name);
    if (name.ends_with(".cert")) NX_CHECK(add_pair(directory, name, out));
    const bool key = name.ends_with(".key");
    if (key && !has(directory, name.substr(0, name.size() - 4) + ".cert"))
      return fail(Errc::ConfigError,
                  "client key " + directory.path + "/" + name + " has no certificate beside it");
  }
  return out;
}

}  // namespace

Result<Tls> find_tls(std::span<const CertsDirectory> directories, const std::string& host) {
  for (const CertsDirectory& directory : directories)
    if (directory.host.empty() || directory.host == host) return read_directory(directory);
  return Tls();
}

}  // namespace nexcage::registry
