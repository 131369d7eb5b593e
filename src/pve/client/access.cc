#include "nexcage/pve/client/access.h"

#include <fcntl.h>

#include "nexcage/base/text.h"
#include "nexcage/pve/client/certificate.h"
#include "nexcage/pve/client/secret_file.h"
#include "nexcage/pve/line.h"
#include "nexcage/sys/fs.h"

namespace nexcage::pve::client {

namespace {

constexpr std::string_view kDefaultPort = ":8006";
constexpr std::size_t kMostBytes = 1u << 20;

std::vector<std::string> texts(const json::Value& request, std::string_view name) {
  std::vector<std::string> out;
  const json::Value* member = request.find(name);
  if (member == nullptr || member->if_array() == nullptr) return out;
  for (const json::Value& one : *member->if_array()) out.push_back(one.text());
  return out;
}

/// "host", "host:port", "[address]:port"; a scheme before it is taken off.
Result<std::string> host_of(std::string text) {
  if (text.starts_with("https://")) text.erase(0, 8);
  while (text.ends_with('/')) text.pop_back();
  const bool good = !text.empty() && text.find_first_of("/@?# ") == std::string::npos;
  if (!good || !check_line("host", text))
    return fail(Error(Errc::ConfigError, "proxmox.hosts: " + quote(text) + " is no host")
                    .hint("host or host:port, several separated by commas"));
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != std::string::npos && text.find(']', colon) == std::string::npos;
  return has_port ? text : text + std::string(kDefaultPort);
}

Result<> read_secrets(const json::Value& request, Access& access) {
  access.token = take_secret("NEXCAGE_PVE_TOKEN");
  access.password = take_secret("NEXCAGE_PVE_PASSWORD");
  access.user = request.text("user");
  const std::string token_file = request.text("token_file");
  const std::string password_file = request.text("password_file");
  if (access.token.empty() && access.user.empty() && !token_file.empty()) {
    NX_TRY(access.token, read_secret(token_file), "proxmox.token_file");
  }
  if (access.token.empty() && access.password.empty() && !password_file.empty()) {
    NX_TRY(access.password, read_secret(password_file), "proxmox.password_file");
  }
  const std::string& token = access.token.reveal();
  if (!token.empty() &&
      (token.find('!') == std::string::npos || token.find('=') == std::string::npos))
    return fail(Errc::ConfigError, "the token is not of the form USER@REALM!NAME=SECRET");
  NX_CHECK(check_line("user", access.user));
  if (!check_line("token", token) || !check_line("password", access.password.reveal()))
    return fail(Errc::ConfigError, "the token or password holds a control character");
  if (token.empty() && (access.user.empty() || access.password.empty()))
    return fail(Error(Errc::ConfigError, "no way to log in to Proxmox VE is configured")
                    .hint("set proxmox.token_file, or proxmox.user and proxmox.password_file"));
  return {};
}

}  // namespace

Result<Access> read_access(const json::Value& request) {
  Access access;
  for (const std::string& text : texts(request, "hosts")) {
    NX_TRY(std::string host, host_of(text));
    access.hosts.push_back(std::move(host));
  }
  if (access.hosts.empty())
    return fail(Error(Errc::ConfigError, "no host of Proxmox VE is configured")
                    .hint("set proxmox.hosts in the configuration"));
  NX_CHECK(read_secrets(request, access));
  access.fingerprints = texts(request, "fingerprints");
  const std::string certificate_file = request.text("certificate_file");
  if (!certificate_file.empty()) {
    NX_TRY(const std::string pem, sys::read_file(AT_FDCWD, certificate_file, kMostBytes),
           "the node's certificate");
    NX_TRY(Fingerprints known, fingerprints_of(pem), certificate_file);
    access.fingerprints.push_back(std::move(known.certificate));
  }
  access.readable = texts(request, "readable");
  const std::string ca_file = request.text("ca_file");
  if (!ca_file.empty()) {
    NX_TRY(access.tls.authorities, sys::read_file(AT_FDCWD, ca_file, kMostBytes),
           "proxmox.ca_file");
  }
  return access;
}

}  // namespace nexcage::pve::client
