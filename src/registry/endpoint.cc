#include "nexcage/registry/endpoint.h"

#include <algorithm>
#include <array>

#include "nexcage/base/text.h"

namespace nexcage::registry {

namespace {

struct ServesName {
  Endpoint::Serves serves;
  std::string_view name;
};
constexpr std::array<ServesName, 3> kServes = {{{Endpoint::Serves::all, "all"},
                                                {Endpoint::Serves::digest, "digest"},
                                                {Endpoint::Serves::tag, "tag"}}};

std::unexpected<Error> refuse(std::string_view member, std::string_view why) {
  // The value stays out of the message: it may be a secret.
  return fail(Errc::InvalidJson, "endpoint: " + std::string(member) + ' ' + std::string(why));
}

/// A text member; "" when absent. Control characters could end a header's line.
Result<std::string> text_of(const json::Value& value, std::string_view member) {
  const json::Value* found = value.find(member);
  if (found == nullptr || found->is_null()) return std::string();
  const std::string* text = found->if_string();
  if (text == nullptr) return refuse(member, "is no string");
  const bool control = std::ranges::any_of(
      *text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (control) return refuse(member, "holds a control character");
  return *text;
}

Result<std::string> parse_url(const json::Value& value) {
  auto url = text_of(value, "url");
  if (!url) return url;
  const std::size_t scheme = url->starts_with("https://") ? 8 : url->starts_with("http://") ? 7 : 0;
  if (scheme == 0) return refuse("url", "begins with neither https:// nor http://");
  const std::string_view host = std::string_view(*url).substr(scheme);
  if (host.empty() || host.find_first_of("/?#@ \\") != std::string_view::npos)
    return refuse("url", "is not scheme://host[:port]");
  return url;
}

Result<Tls> parse_tls(const json::Value& value) {
  Tls tls;
  const json::Value* member = value.find("tls");
  if (member == nullptr || member->is_null()) return tls;
  if (const json::Value* verify = member->find("verify")) {
    const bool* flag = verify->if_bool();
    if (flag == nullptr) return refuse("tls.verify", "is no boolean");
    tls.verify = *flag;
  }
  NX_TRY(tls.client_cert, text_of(*member, "client_cert"));
  NX_TRY(tls.client_key, text_of(*member, "client_key"));
  const json::Value* files = member->find("ca_files");
  const json::Array* list = files != nullptr ? files->if_array() : nullptr;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const std::string* file = (*list)[i].if_string();
    if (file == nullptr || file->empty()) return refuse("tls.ca_files", "holds no path");
    tls.ca_files.push_back(*file);
  }
  return tls;
}

Result<Credential> parse_credential(const json::Value& value) {
  const json::Value* member = value.find("credential");
  if (member == nullptr || member->is_null()) return Credential{};
  NX_TRY(std::string username, text_of(*member, "username"));
  NX_TRY(std::string password, text_of(*member, "password"));
  NX_TRY(std::string identity, text_of(*member, "identity_token"));
  NX_TRY(std::string token, text_of(*member, "registry_token"));
  using Kind = Credential::Kind;
  if (!token.empty()) return Credential{Kind::registry_token, {}, Secret(std::move(token))};
  if (!identity.empty())
    return Credential{Kind::identity_token, std::move(username), Secret(std::move(identity))};
  if (!username.empty())
    return Credential{Kind::password, std::move(username), Secret(std::move(password))};
  return Credential{};
}

json::Value to_json(const Tls& tls) {
  json::Array files;
  for (const std::string& file : tls.ca_files) files.emplace_back(file);
  json::Object out;
  out.set("verify", tls.verify);
  out.set("ca_files", std::move(files));
  out.set("client_cert", tls.client_cert);
  out.set("client_key", tls.client_key);
  return out;
}

json::Value to_json(const Credential& credential) {
  json::Object out;
  switch (credential.kind) {
    case Credential::Kind::none:
      return nullptr;
    case Credential::Kind::password:
      out.set("username", credential.username);
      out.set("password", credential.secret.reveal());
      break;
    case Credential::Kind::identity_token:
      out.set("username", credential.username);
      out.set("identity_token", credential.secret.reveal());
      break;
    case Credential::Kind::registry_token:
      out.set("registry_token", credential.secret.reveal());
      break;
  }
  return out;
}

}  // namespace

std::string_view Endpoint::host() const {
  const std::size_t scheme = url.find("://");
  return std::string_view(url).substr(scheme == std::string::npos ? 0 : scheme + 3);
}

bool Endpoint::is_https() const { return url.starts_with("https://"); }

json::Value to_json(const Endpoint& endpoint) {
  const auto* serves = std::ranges::find(kServes, endpoint.serves, &ServesName::serves);
  json::Object out;
  out.set("url", endpoint.url);
  out.set("repository", endpoint.repository);
  out.set("prefix_rule", endpoint.rule);
  out.set("for", serves->name);
  out.set("tls", to_json(endpoint.tls));
  out.set("credential", to_json(endpoint.credential));
  return out;
}

Result<Endpoint> parse_endpoint(const json::Value& value) {
  if (value.if_object() == nullptr) return refuse("", "is no object");
  Endpoint endpoint;
  NX_TRY(endpoint.url, parse_url(value));
  NX_TRY(endpoint.repository, text_of(value, "repository"));
  NX_TRY(endpoint.rule, text_of(value, "prefix_rule"));
  NX_TRY(std::string serves, text_of(value, "for"));
  const auto* found = std::ranges::find(kServes, serves.empty() ? "all" : std::string_view(serves),
                                        &ServesName::name);
  if (found == kServes.end()) return refuse("for", "is none of all, digest and tag");
  endpoint.serves = found->serves;
  NX_TRY(endpoint.tls, parse_tls(value));
  NX_TRY(endpoint.credential, parse_credential(value));
  return endpoint;
}

}  // namespace nexcage::registry
