#include "nexcage/registry/auth_file.h"

#include <algorithm>
#include <array>
#include <optional>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"
#include "nexcage/oci/reference.h"

namespace nexcage::registry {
namespace {

std::unexpected<Error> refuse(const std::string& path, const std::string& member,
                              std::string_view expected) {
  return fail(Errc::ConfigError, path + ": " + member + " is no " + std::string(expected));
}

/// A member of text; empty when it is absent or null.
Result<std::string> text_of(const json::Value& value, std::string_view name,
                            const std::string& path, const std::string& where) {
  const json::Value* member = value.find(name);
  if (member == nullptr || member->is_null()) return std::string();
  if (member->if_string() == nullptr) return refuse(path, where + std::string(name), "string");
  return *member->if_string();
}

Result<AuthFile::Entry> parse_entry(const std::string& key, const json::Value& value,
                                    const std::string& path) {
  const std::string where = "auths[" + quote(key) + "]";
  if (!value.is_null() && value.if_object() == nullptr) return refuse(path, where, "object");
  const auto read = [&](std::string_view name) { return text_of(value, name, path, where + "."); };
  AuthFile::Entry entry;
  entry.key = key;
  NX_TRY(std::string auth, read("auth"));
  NX_TRY(entry.username, read("username"));
  NX_TRY(std::string password, read("password"));
  NX_TRY(std::string identity, read("identitytoken"));
  NX_TRY(std::string token, read("registrytoken"));
  entry.auth = Secret(std::move(auth));
  entry.password = Secret(std::move(password));
  entry.identity_token = Secret(std::move(identity));
  entry.registry_token = Secret(std::move(token));
  return entry;
}

Result<> parse_entries(const json::Value& value, AuthFile& out) {
  if (value.is_null()) return {};
  if (value.if_object() == nullptr) return refuse(out.path, "auths", "object");
  for (const auto& [key, entry] : *value.if_object()) {
    NX_TRY(AuthFile::Entry parsed, parse_entry(key, entry, out.path));
    out.entries.push_back(std::move(parsed));
  }
  return {};
}

Result<> parse_helpers(const json::Value& document, AuthFile& out) {
  NX_TRY(out.store, text_of(document, "credsStore", out.path, ""));
  const json::Value* helpers = document.find("credHelpers");
  if (helpers == nullptr || helpers->is_null()) return {};
  if (helpers->if_object() == nullptr) return refuse(out.path, "credHelpers", "object");
  for (const auto& [registry, name] : *helpers->if_object()) {
    if (name.if_string() == nullptr)
      return refuse(out.path, "credHelpers[" + quote(registry) + "]", "string");
    out.helpers.emplace(registry, *name.if_string());
  }
  return {};
}

/// The hub has three names; keys of files may have any of them.
std::string one_name(std::string_view registry) {
  if (registry == "docker.io" || registry == "registry-1.docker.io") return "index.docker.io";
  return std::string(registry);
}

/// The registry that a key of a file means: Docker wrote URLs for a while.
std::string registry_of_key(std::string_view key, AuthFormat format) {
  std::string_view host = key;
  for (const std::string_view scheme : {"http://", "https://"})
    if (host.starts_with(scheme)) host.remove_prefix(scheme.size());
  if (format == AuthFormat::legacy || host.size() != key.size())
    host = host.substr(0, host.find('/'));
  return one_name(host);
}

Result<std::optional<Credential>> decode(const AuthFile& file, const AuthFile::Entry& entry) {
  using Kind = Credential::Kind;
  if (!entry.registry_token.empty())
    return Credential{Kind::registry_token, {}, entry.registry_token};
  std::string username = entry.username;
  Secret password = entry.password;
  if (!entry.auth.empty()) {
    const auto decoded = base64_decode(entry.auth.reveal());
    const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos)
      return fail(Error(Errc::ConfigError, file.path + ": auths[" + quote(entry.key) +
                                               "].auth is no base64 of USER:PASSWORD")
                      .hint("Log in again: nexcage login REGISTRY"));
    username = decoded->substr(0, colon);
    std::string secret = decoded->substr(colon + 1);
    while (secret.ends_with('\0')) secret.pop_back();  // old versions of Docker filled up with them
    password = Secret(std::move(secret));
  }
  if (!entry.identity_token.empty())
    return Credential{Kind::identity_token, username, entry.identity_token};
  if (username.empty()) return std::nullopt;  // Docker's mark of a key that is in a store
  return Credential{Kind::password, username, password};
}

const AuthFile::Entry* entry_of(const AuthFile& file, std::string_view key) {
  const auto found = std::ranges::find(file.entries, key, &AuthFile::Entry::key);
  return found == file.entries.end() ? nullptr : &*found;
}

/// The most specific key first, then keys that mean the registry in another way of writing.
const AuthFile::Entry* find_entry(const AuthFile& file, const std::string& registry,
                                  std::string_view repository) {
  std::string key = registry;
  if (file.format == AuthFormat::current && !repository.empty())
    key += "/" + std::string(repository);
  while (true) {
    if (const AuthFile::Entry* entry = entry_of(file, key)) return entry;
    const std::size_t slash = key.rfind('/');
    if (slash == std::string::npos) break;
    key.resize(slash);
  }
  for (const AuthFile::Entry& entry : file.entries)
    if (registry_of_key(entry.key, file.format) == one_name(registry)) return &entry;
  return nullptr;
}

/// The helper that the file names for the registry; it is asked for the name the file has.
std::optional<HelperCall> helper_of(const AuthFile& file, const std::string& registry) {
  std::vector<std::string> names = {registry};
  const bool hub = one_name(registry) == "index.docker.io";
  if (hub)
    names.insert(names.end(), {"docker.io", "index.docker.io", std::string(kDockerHubServer)});
  for (const std::string& name : names)
    if (const auto found = file.helpers.find(name); found != file.helpers.end())
      return HelperCall{found->second, name, file.path};
  if (file.store.empty()) return std::nullopt;
  return HelperCall{file.store, hub ? std::string(kDockerHubServer) : registry, file.path};
}

/// Adds what the files know. True when a credential was found, which ends the search.
Result<bool> add_from_files(std::span<const AuthFile> files, const std::string& registry,
                            std::string_view repository, std::vector<CredentialSource>& out) {
  for (const AuthFile& file : files) {
    if (auto helper = helper_of(file, registry)) out.emplace_back(*std::move(helper));
    const AuthFile::Entry* entry = find_entry(file, registry, repository);
    if (entry == nullptr) continue;
    NX_TRY(auto credential, decode(file, *entry));
    if (!credential) continue;
    out.emplace_back(FoundCredential{*std::move(credential), file.path});
    return true;
  }
  return false;
}

/// "auths" of a document, made when it is missing.
Result<json::Object*> auths_of(json::Value& document) {
  if (document.is_null()) document = json::Object();
  json::Object* object = document.if_object();
  if (object == nullptr) return fail(Errc::ConfigError, "the document is no object");
  json::Value* auths = object->find("auths");
  if (auths == nullptr || auths->is_null()) auths = &object->set("auths", json::Object());
  if (auths->if_object() == nullptr) return fail(Errc::ConfigError, "auths is no object");
  return auths->if_object();
}

}  // namespace

Result<AuthFile> parse_auth_file(std::string_view text, const std::string& path,
                                 AuthFormat format) {
  auto document = json::parse(text);
  if (!document) return fail(std::move(document).error().wrap(path).as(Errc::ConfigError));
  AuthFile out;
  out.path = path;
  out.format = format;
  if (document->if_object() == nullptr) return refuse(path, "the document", "object");
  if (format == AuthFormat::legacy) {
    NX_CHECK(parse_entries(*document, out));
    return out;
  }
  if (const json::Value* auths = document->find("auths")) NX_CHECK(parse_entries(*auths, out));
  NX_CHECK(parse_helpers(*document, out));
  return out;
}

Result<std::vector<CredentialSource>> find_credentials(std::span<const AuthFile> files,
                                                       std::span<const std::string> helpers,
                                                       const std::string& registry,
                                                       std::string_view repository) {
  std::vector<CredentialSource> out;
  const std::array only_files = {std::string(kAuthFilesHelper)};
  if (helpers.empty()) helpers = only_files;
  for (const std::string& helper : helpers) {
    if (helper != kAuthFilesHelper) {
      out.emplace_back(HelperCall{helper, registry, "credential-helpers of registries.conf"});
      continue;
    }
    NX_TRY(const bool found, add_from_files(files, registry, repository, out));
    if (found) break;
  }
  return out;
}

Result<std::string> parse_login_key(std::string_view text) {
  std::string_view key = text;
  for (const std::string_view scheme : {"https://", "http://"})
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  while (key.ends_with('/')) key.remove_suffix(1);
  const bool whole_registry = key.find('/') == std::string_view::npos;
  const std::string name = std::string(key) + (whole_registry ? "/x" : "");
  const auto reference = oci::Reference::parse(name);
  const bool good =
      reference && oci::names_registry(name) && (whole_registry || !oci::has_tag_or_digest(name));
  if (!good)
    return fail(Errc::InvalidSpec,
                quote(text) + " is no registry: expected HOST[:PORT] or HOST[:PORT]/REPOSITORY");
  return std::string(key);
}

Result<json::Value> with_login(json::Value document, const std::string& key,
                               const std::string& username, const Secret& password) {
  NX_TRY(json::Object * auths, auths_of(document));
  json::Value* entry = auths->find(key);
  if (entry == nullptr || entry->if_object() == nullptr) entry = &auths->set(key, json::Object());
  json::Object& members = *entry->if_object();
  // Whatever else proved the user before proves another one now.
  for (const char* old : {"identitytoken", "registrytoken", "username", "password"})
    members.erase(old);
  members.set("auth", base64_encode(username + ":" + password.reveal()));
  return document;
}

Result<json::Value> with_marker(json::Value document, const std::string& key) {
  NX_TRY(json::Object * auths, auths_of(document));
  auths->set(key, json::Object());
  return document;
}

Result<bool> remove_login(json::Value& document, const std::string& key) {
  NX_TRY(json::Object * auths, auths_of(document));
  return auths->erase(key);
}

}  // namespace nexcage::registry
