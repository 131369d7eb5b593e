#include "nexcage/registry/policy.h"

#include <algorithm>
#include <array>
#include <optional>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::registry {
namespace {

using Kind = Requirement::Kind;

/// A value and the words that say where it stands: "FILE: transports.docker[...]".
struct At {
  const json::Value& value;
  std::string where;

  std::unexpected<Error> refuse(const std::string& why) const {
    return fail(Errc::ConfigError, where + ": " + why);
  }
  At member(std::string_view name) const {
    return {*value.find(name), where + "." + std::string(name)};
  }
  bool has(std::string_view name) const { return value.find(name) != nullptr; }
};

Result<> only_members(const At& at, std::span<const std::string_view> known) {
  if (at.value.if_object() == nullptr) return at.refuse("must be an object");
  for (const auto& [name, value] : *at.value.if_object())
    if (std::ranges::find(known, name) == known.end())
      return at.refuse("unknown member " + quote(name));
  return {};
}

Result<std::string> text(const At& at) {
  if (at.value.if_string() == nullptr) return at.refuse("must be a string");
  return *at.value.if_string();
}

/// A string, or a list of at least one.
Result<std::vector<std::string>> texts(const At& at) {
  const json::Array* list = at.value.if_array();
  if (list == nullptr || list->empty()) return at.refuse("must be an array with an entry");
  std::vector<std::string> out;
  for (const json::Value& element : *list) {
    NX_TRY(std::string one, text(At{element, at.where}));
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::string> decode(const At& at, const std::string& base64) {
  auto decoded = base64_decode(base64);
  if (!decoded) return at.refuse("is no base64");
  return *std::move(decoded);
}

constexpr std::array<std::string_view, 1> kPlainMembers = {"type"};
constexpr std::array<std::string_view, 2> kBaseLayerMembers = {"type", "baseLayerIdentity"};
constexpr std::array<std::string_view, 6> kSignedByMembers = {
    "type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"};
constexpr std::array<std::string_view, 4> kKeySources = {"keyPath", "keyPaths", "keyData",
                                                         "keyDatas"};
constexpr std::array<std::string_view, 6> kSigstoreSources = {"keyPath",  "keyPaths", "keyData",
                                                              "keyDatas", "fulcio",   "pki"};
constexpr std::array<std::string_view, 4> kRekorSources = {
    "rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"};
constexpr std::array<std::string_view, 12> kSigstoreMembers = {"type",
                                                               "keyPath",
                                                               "keyPaths",
                                                               "keyData",
                                                               "keyDatas",
                                                               "fulcio",
                                                               "pki",
                                                               "signedIdentity",
                                                               "rekorPublicKeyPath",
                                                               "rekorPublicKeyPaths",
                                                               "rekorPublicKeyData",
                                                               "rekorPublicKeyDatas"};

std::vector<std::string_view> present(const At& at, std::span<const std::string_view> names) {
  std::vector<std::string_view> out;
  for (const std::string_view name : names)
    if (at.has(name)) out.push_back(name);
  return out;
}

/// keyPath, keyPaths, keyData or keyDatas.
Result<> read_keys(const At& at, std::string_view source, Requirement& out) {
  const At member = at.member(source);
  if (source == "keyPath" || source == "keyPaths") {
    if (source == "keyPaths") {
      NX_TRY(out.key_paths, texts(member));
      return {};
    }
    NX_TRY(std::string path, text(member));
    if (path.empty()) return member.refuse("must not be empty");
    out.key_paths = {std::move(path)};
    return {};
  }
  std::vector<std::string> encoded;
  if (source == "keyDatas") {
    NX_TRY(encoded, texts(member));
  } else {
    NX_TRY(std::string one, text(member));
    encoded = {std::move(one)};
  }
  for (const std::string& base64 : encoded) {
    NX_TRY(std::string key, decode(member, base64));
    out.keys.push_back(std::move(key));
  }
  return {};
}

Result<> read_identity(const At& at, Requirement& out) {
  if (!at.has("signedIdentity")) return {};
  const At member = at.member("signedIdentity");
  NX_TRY(out.identity, parse_signed_identity(member.value, member.where));
  return {};
}

Result<> parse_signed_by(const At& at, Requirement& out) {
  NX_CHECK(only_members(at, kSignedByMembers));
  constexpr std::array<std::string_view, 4> kTypes = {"GPGKeys", "signedByGPGKeys",
                                                      "X509Certificates", "signedByX509CAs"};
  if (!at.has("keyType")) return at.refuse("keyType is missing");
  NX_TRY(const std::string type, text(at.member("keyType")));
  if (std::ranges::find(kTypes, type) == kTypes.end())
    return at.refuse("unknown keyType " + quote(type));
  const auto sources = present(at, std::span(kKeySources).first(3));
  if (sources.size() != 1)
    return at.refuse("exactly one of keyPath, keyPaths and keyData must be there");
  NX_CHECK(read_keys(at, sources[0], out));
  NX_CHECK(read_identity(at, out));
  out.kind = Kind::unsupported;
  out.unsupported = "signatures by GnuPG (signedBy) are not verified by nexcage";
  return {};
}

Result<> parse_base_layer(const At& at, Requirement& out) {
  NX_CHECK(only_members(at, kBaseLayerMembers));
  if (!at.has("baseLayerIdentity")) return at.refuse("baseLayerIdentity is missing");
  const At member = at.member("baseLayerIdentity");
  NX_CHECK(parse_signed_identity(member.value, member.where));
  out.kind = Kind::unsupported;
  out.unsupported = "signatures of base layers are not verified by nexcage";
  return {};
}

Result<> parse_sigstore(const At& at, Requirement& out) {
  NX_CHECK(only_members(at, kSigstoreMembers));
  const auto sources = present(at, kSigstoreSources);
  if (sources.size() != 1)
    return at.refuse(
        "exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio and pki must be there");
  const auto rekor = present(at, kRekorSources);
  if (rekor.size() > 1) return at.refuse("more than one of the rekorPublicKey members is there");
  NX_CHECK(read_identity(at, out));
  out.kind = Kind::sigstore;
  if (sources[0] == "fulcio" || sources[0] == "pki") {
    if (at.member(sources[0]).value.if_object() == nullptr)
      return at.member(sources[0]).refuse("must be an object");
    if (sources[0] == "fulcio" && rekor.empty()) return at.refuse("fulcio needs a rekorPublicKey");
    if (sources[0] == "pki" && !rekor.empty()) return at.refuse("pki takes no rekorPublicKey");
    out.unsupported = "signatures with certificates (" + std::string(sources[0]) + ")";
  } else {
    NX_CHECK(read_keys(at, sources[0], out));
    if (!rekor.empty())
      out.unsupported = "entries of the transparency log (" + std::string(rekor[0]) + ")";
  }
  if (out.unsupported.empty()) return {};
  out.kind = Kind::unsupported;
  out.unsupported += " are not verified by nexcage: only keyPath, keyPaths, keyData and keyDatas";
  return {};
}

Result<Requirement> parse_requirement(const At& at) {
  if (at.value.if_object() == nullptr) return at.refuse("must be an object");
  if (!at.has("type")) return at.refuse("type is missing");
  Requirement out;
  NX_TRY(out.type, text(at.member("type")));
  if (out.type == "insecureAcceptAnything" || out.type == "reject") {
    NX_CHECK(only_members(at, kPlainMembers));
    out.kind = out.type == "reject" ? Kind::reject : Kind::accept;
  } else if (out.type == "signedBy") {
    NX_CHECK(parse_signed_by(at, out));
  } else if (out.type == "signedBaseLayer") {
    NX_CHECK(parse_base_layer(at, out));
  } else if (out.type == "sigstoreSigned") {
    NX_CHECK(parse_sigstore(at, out));
  } else {
    return at.refuse("unknown requirement type " + quote(out.type));
  }
  return out;
}

Result<std::vector<Requirement>> parse_requirements(const At& at) {
  const json::Array* list = at.value.if_array();
  if (list == nullptr || list->empty())
    return at.refuse("must be an array with at least one requirement");
  std::vector<Requirement> out;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const At one{(*list)[i], at.where + "[" + std::to_string(i) + "]"};
    NX_TRY(Requirement requirement, parse_requirement(one));
    out.push_back(std::move(requirement));
  }
  return out;
}

/// The transports whose scopes are paths, and those that have none.
bool is_scope(const std::string& transport, const std::string& scope) {
  constexpr std::array<std::string_view, 4> kPaths = {"dir", "oci", "oci-archive", "sif"};
  constexpr std::array<std::string_view, 2> kNone = {"docker-archive", "tarball"};
  if (scope.empty()) return true;
  if (std::ranges::find(kNone, transport) != kNone.end()) return false;
  if (std::ranges::find(kPaths, transport) == kPaths.end()) return true;
  return scope.starts_with('/') && scope != "/" && sys::clean_path(scope) == scope;
}

Result<Scopes> parse_scopes(const At& at, const std::string& transport) {
  Scopes out;
  if (at.value.if_object() == nullptr) return at.refuse("must be an object");
  for (const auto& [scope, requirements] : *at.value.if_object()) {
    const At entry{requirements, at.where + "[" + quote(scope) + "]"};
    if (!is_scope(transport, scope)) return entry.refuse("no scope of this transport");
    NX_TRY(auto parsed, parse_requirements(entry));
    out.emplace(scope, std::move(parsed));
  }
  return out;
}

}  // namespace

Result<Policy> parse_policy(std::string_view text, const std::string& path) {
  auto document = json::parse(text);
  if (!document) return fail(std::move(document).error().wrap(path).as(Errc::ConfigError));
  Policy out;
  out.path = path;
  const At top{*document, path};
  constexpr std::array<std::string_view, 2> kMembers = {"default", "transports"};
  NX_CHECK(only_members(top, kMembers));
  if (!top.has("default")) return top.refuse("default is missing");
  NX_TRY(out.fallback, parse_requirements({*document->find("default"), path + ": default"}));
  const json::Value* transports = document->find("transports");
  if (transports == nullptr) return out;
  const At all{*transports, path + ": transports"};
  if (transports->if_object() == nullptr) return all.refuse("must be an object");
  for (const auto& [name, scopes] : *transports->if_object()) {
    const std::string shown = is_printable(name) ? name : quote(name);
    NX_TRY(Scopes parsed, parse_scopes(At{scopes, all.where + "." + shown}, name));
    out.transports.emplace(name, std::move(parsed));
  }
  return out;
}

std::vector<std::string> scopes_of(const oci::Reference& image) {
  std::vector<std::string> out;
  std::string name = image.name();
  out.push_back(image.digest ? name + "@" + image.digest->str() : name + ":" + image.tag);
  while (true) {
    out.push_back(name);
    const std::size_t slash = name.rfind('/');
    if (slash == std::string::npos) break;
    name.resize(slash);
  }
  name.resize(std::min(name.size(), name.find(':')));
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.')) {
    name.erase(0, dot + 1);
    out.push_back("*." + name);
  }
  return out;
}

Ruling find_ruling(const Policy& policy, const oci::Reference& image) {
  if (policy.path.empty()) return {{}, "no policy.json"};
  const auto transport = policy.transports.find("docker");
  if (transport != policy.transports.end()) {
    std::vector<std::string> scopes = scopes_of(image);
    scopes.emplace_back();  // the transport's default
    for (const std::string& scope : scopes)
      if (const auto found = transport->second.find(scope); found != transport->second.end())
        return {found->second, policy.path + ": transports.docker[" + quote(scope) + "]"};
  }
  return {policy.fallback, policy.path + ": default"};
}

}  // namespace nexcage::registry
