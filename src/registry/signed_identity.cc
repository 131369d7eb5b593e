#include "nexcage/registry/signed_identity.h"

#include <algorithm>
#include <array>

#include "nexcage/base/text.h"

namespace nexcage::registry {
namespace {

using Kind = SignedIdentity::Kind;

/// A type and the members that it must have besides "type".
struct Type {
  std::string_view word;
  Kind kind;
  std::string_view name, signed_prefix;  // empty: no such member
};
constexpr std::array kTypes = {
    Type{"matchExact", Kind::match_exact, "", ""},
    Type{"matchRepoDigestOrExact", Kind::match_repo_digest_or_exact, "", ""},
    Type{"matchRepository", Kind::match_repository, "", ""},
    Type{"exactReference", Kind::exact_reference, "dockerReference", ""},
    Type{"exactRepository", Kind::exact_repository, "dockerRepository", ""},
    Type{"remapIdentity", Kind::remap_identity, "prefix", "signedPrefix"},
};

std::unexpected<Error> refuse(const std::string& where, const std::string& why) {
  return fail(Errc::ConfigError, where + ": " + why);
}

Result<std::string> text(const json::Value& value, std::string_view name,
                         const std::string& where) {
  if (name.empty()) return std::string();
  const json::Value* member = value.find(name);
  if (member == nullptr || member->if_string() == nullptr)
    return refuse(where, std::string(name) + " must be a string");
  return *member->if_string();
}

/// A host, or a host and a path, without tag and digest.
bool is_prefix(const std::string& prefix) {
  const bool host = prefix.find('/') == std::string::npos;
  const std::string name = host ? prefix + "/x" : prefix;
  return oci::Reference::parse(name) && oci::names_registry(name) &&
         (host || !oci::has_tag_or_digest(prefix));
}

Result<> check(const SignedIdentity& identity, const std::string& where) {
  switch (identity.kind) {
    case Kind::exact_reference:
      if (!oci::Reference::parse(identity.name) || !oci::has_tag_or_digest(identity.name))
        return refuse(where, "dockerReference " + quote(identity.name) +
                                 " is no reference with a tag or a digest");
      return {};
    case Kind::exact_repository:
      if (!oci::Reference::parse(identity.name) || oci::has_tag_or_digest(identity.name))
        return refuse(where, "dockerRepository " + quote(identity.name) + " is no repository");
      return {};
    case Kind::remap_identity:
      for (const std::string& prefix : {identity.name, identity.signed_prefix})
        if (!is_prefix(prefix)) return refuse(where, "prefix " + quote(prefix) + " is not valid");
      return {};
    default:
      return {};
  }
}

/// The image as it was asked for: by digest when there is one.
oci::Reference intended(oci::Reference image) {
  if (image.digest) image.tag.clear();
  return image;
}

bool repo_digest_or_exact(const oci::Reference& image, const oci::Reference& signed_as) {
  if (image.digest) return signed_as.name() == image.name();
  return signed_as == image;
}

/// The image under the name that its signers use; itself when the prefix is another.
Result<oci::Reference> remap(const SignedIdentity& identity, const oci::Reference& image) {
  const std::string& prefix = identity.name;
  const std::string name = image.name();
  const bool below =
      name.starts_with(prefix) && (name.size() == prefix.size() || name[prefix.size()] == '/');
  if (!below) return image;
  return oci::Reference::parse(identity.signed_prefix + image.str().substr(prefix.size()));
}

}  // namespace

Result<SignedIdentity> parse_signed_identity(const json::Value& value, const std::string& where) {
  if (value.if_object() == nullptr) return refuse(where, "must be an object");
  NX_TRY(const std::string word, text(value, "type", where));
  const auto* type = std::ranges::find(kTypes, word, &Type::word);
  if (type == kTypes.end()) return refuse(where, "unknown type " + quote(word));
  for (const auto& [name, member] : *value.if_object())
    if (name != "type" && (name != type->name || name.empty()) &&
        (name != type->signed_prefix || name.empty()))
      return refuse(where, "unknown member " + quote(name));
  SignedIdentity out;
  out.kind = type->kind;
  NX_TRY(out.name, text(value, type->name, where));
  NX_TRY(out.signed_prefix, text(value, type->signed_prefix, where));
  NX_CHECK(check(out, where));
  return out;
}

json::Value to_json(const SignedIdentity& identity) {
  const auto* type = std::ranges::find(kTypes, identity.kind, &Type::kind);
  json::Object out;
  out.set("type", type->word);
  if (!type->name.empty()) out.set(std::string(type->name), identity.name);
  if (!type->signed_prefix.empty())
    out.set(std::string(type->signed_prefix), identity.signed_prefix);
  return out;
}

bool identity_matches(const SignedIdentity& identity, const oci::Reference& image,
                      std::string_view signed_name) {
  const auto signed_as = oci::Reference::parse(signed_name);
  if (!signed_as) return false;
  // A name alone stands for no image: only where the repository is all that counts.
  const bool exact = oci::has_tag_or_digest(signed_name);
  const oci::Reference asked = intended(image);
  switch (identity.kind) {
    case Kind::match_exact:
      return exact && *signed_as == asked;
    case Kind::match_repo_digest_or_exact:
      return exact && repo_digest_or_exact(asked, *signed_as);
    case Kind::match_repository:
      return signed_as->name() == asked.name();
    case Kind::exact_reference: {
      const auto expected = oci::Reference::parse(identity.name);
      return exact && expected && *signed_as == *expected;
    }
    case Kind::exact_repository: {
      const auto expected = oci::Reference::parse(identity.name);
      return expected && signed_as->name() == expected->name();
    }
    case Kind::remap_identity: {
      const auto remapped = remap(identity, asked);
      return exact && remapped && repo_digest_or_exact(*remapped, *signed_as);
    }
  }
  return false;
}

}  // namespace nexcage::registry
