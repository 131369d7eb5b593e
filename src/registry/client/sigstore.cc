#include "nexcage/registry/client/sigstore.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"

namespace nexcage::registry::client {

namespace {

constexpr std::string_view kPayloadType = "application/vnd.dev.cosign.simplesigning.v1+json";
constexpr const char* kSignatureAnnotation = "dev.cosignproject.cosign/signature";
constexpr std::string_view kSignatureType = "cosign container image signature";
constexpr int kLeastRsaBits = 2048;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using DecoderContext = std::unique_ptr<OSSL_DECODER_CTX, Freed<OSSL_DECODER_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

/// A public key in PEM, of a kind and strength that signatures may have.
Result<Key> parse_key(std::string_view pem) {
  // Nothing else is decoded: an encrypted private key would ask for its passphrase.
  if (pem.find("PUBLIC KEY-----") == std::string_view::npos)
    return fail(Errc::ConfigError, "the key is no public key in PEM");
  (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  EVP_PKEY* raw = nullptr;
  const DecoderContext context(OSSL_DECODER_CTX_new_for_pkey(
      &raw, "PEM", nullptr, nullptr, EVP_PKEY_PUBLIC_KEY, nullptr, nullptr));
  const auto* data = reinterpret_cast<const unsigned char*>(pem.data());
  std::size_t size = pem.size();
  const bool decoded = context && OSSL_DECODER_from_data(context.get(), &data, &size) == 1;
  Key key(raw);
  ERR_clear_error();
  if (!decoded || !key) return fail(Errc::ConfigError, "the key is no public key in PEM");
  if (EVP_PKEY_is_a(key.get(), "RSA") == 1 && EVP_PKEY_get_bits(key.get()) < kLeastRsaBits)
    return fail(Errc::Unsupported, "an RSA key of less than 2048 bits");
  return key;
}

/// Whether the key made the signature over the payload.
Result<bool> made_by(EVP_PKEY* key, const std::string& payload, const std::string& signature) {
  const bool hashed = EVP_PKEY_is_a(key, "EC") == 1 || EVP_PKEY_is_a(key, "RSA") == 1;
  if (!hashed && EVP_PKEY_is_a(key, "ED25519") != 1)
    return fail(Errc::Unsupported, "a key that is none of ECDSA, RSA and Ed25519");
  const DigestContext context(EVP_MD_CTX_new());
  const EVP_MD* digest = hashed ? EVP_sha256() : nullptr;
  if (!context || EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) != 1)
    return fail(Errc::OutOfMemory, "start to verify a signature");
  const auto bytes = [](const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  const int verdict = EVP_DigestVerify(context.get(), bytes(signature), signature.size(),
                                       bytes(payload), payload.size());
  ERR_clear_error();
  return verdict == 1;
}

// From here on: what a signed payload says. Strict, as a signature is only as good as the reading
// of what was signed.

struct Statement {
  oci::Digest manifest;
  std::string name;
};

std::unexpected<Error> refuse(const std::string& why) {
  return fail(Errc::InvalidImage, "the payload " + why);
}

/// The object's members are exactly these.
Result<const json::Object*> object(const json::Value* value, std::string_view what,
                                   std::span<const std::string_view> members) {
  const json::Object* found = value == nullptr ? nullptr : value->if_object();
  if (found == nullptr) return refuse("has no " + std::string(what));
  const bool complete =
      found->size() == members.size() && std::ranges::all_of(members, [&](std::string_view name) {
        return found->find(name) != nullptr;
      });
  if (!complete) return refuse("has other members in " + std::string(what) + " than it should");
  return found;
}

Result<std::string> text(const json::Object& from, std::string_view name) {
  const std::string* found = from.find(name)->if_string();
  if (found == nullptr) return refuse(std::string(name) + " is no string");
  return *found;
}

/// What was added for people; of two members the type is fixed.
Result<> check_optional(const json::Value& value) {
  if (value.is_null()) return {};
  if (value.if_object() == nullptr) return refuse("optional is no object");
  const json::Value* creator = value.find("creator");
  if (creator != nullptr && creator->if_string() == nullptr)
    return refuse("optional.creator is no string");
  const json::Value* time = value.find("timestamp");
  const bool number =
      time == nullptr || time->as_i64() || std::holds_alternative<double>(time->storage());
  if (!number) return refuse("optional.timestamp is no number");
  return {};
}

Result<Statement> parse_statement(const std::string& payload) {
  const auto value = json::parse(payload, {.max_bytes = kMaxPayload, .max_depth = 16});
  if (!value) return refuse("is no JSON");
  constexpr std::array<std::string_view, 2> kTop = {"critical", "optional"};
  constexpr std::array<std::string_view, 3> kCritical = {"type", "image", "identity"};
  constexpr std::array<std::string_view, 1> kImage = {"docker-manifest-digest"};
  constexpr std::array<std::string_view, 1> kIdentity = {"docker-reference"};
  NX_TRY(const json::Object* top, object(&*value, "an object", kTop));
  NX_CHECK(check_optional(*top->find("optional")));
  NX_TRY(const json::Object* critical, object(top->find("critical"), "critical", kCritical));
  NX_TRY(const std::string type, text(*critical, "type"));
  if (type != kSignatureType) return refuse("is of type " + quote(type));
  NX_TRY(const json::Object* image, object(critical->find("image"), "image", kImage));
  NX_TRY(const json::Object* identity, object(critical->find("identity"), "identity", kIdentity));
  NX_TRY(const std::string digest, text(*image, kImage[0]));
  NX_TRY(std::string name, text(*identity, kIdentity[0]));
  NX_TRY(oci::Digest manifest, oci::Digest::parse(digest));
  return Statement{std::move(manifest), std::move(name)};
}

/// Nothing when the signature meets the requirement, else why not.
Result<std::string> why_not(const SigstoreRequirement& requirement, std::span<const Key> keys,
                            const oci::Reference& reference, const oci::Digest& manifest,
                            const SignedPayload& attached) {
  const auto signature = base64_decode(attached.signature);
  if (!signature) return "its signature is no base64";
  bool made = false;
  for (const Key& key : keys) {
    NX_TRY(const bool by_this, made_by(key.get(), attached.payload, *signature));
    made = made || by_this;
  }
  if (!made) return "made by none of the rule's keys";
  const auto statement = parse_statement(attached.payload);
  if (!statement) return statement.error().message();
  if (statement->manifest != manifest)
    return "it is for another manifest, " + statement->manifest.str();
  if (!identity_matches(requirement.identity, reference, statement->name))
    return "it is for the name " + quote(statement->name);
  return std::string();
}

Result<std::vector<Key>> parse_keys(const std::vector<std::string>& texts,
                                    const std::string& rule) {
  std::vector<Key> keys;
  for (const std::string& pem : texts) {
    NX_TRY(Key key, parse_key(pem), "rule " + rule);
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace

std::string signature_tag(const oci::Digest& manifest) {
  return std::string(manifest.algorithm()) + "-" + std::string(manifest.hex()) + ".sig";
}

Result<std::vector<AttachedSignature>> parse_signatures(const json::Value& manifest) {
  NX_TRY(oci::Manifest parsed, oci::parse_manifest(manifest), "signatures");
  std::vector<AttachedSignature> out;
  for (oci::Descriptor& layer : parsed.layers) {
    const auto signature = layer.annotations.find(kSignatureAnnotation);
    if (layer.media_type != kPayloadType || signature == layer.annotations.end()) continue;
    if (layer.size > kMaxPayload)
      return fail(Errc::InvalidImage, "signatures: a payload of " + std::to_string(layer.size) +
                                          " bytes, allowed are " + std::to_string(kMaxPayload));
    if (out.size() == kMaxSignatures) break;
    std::string text = signature->second;
    out.push_back({std::move(layer), std::move(text)});
  }
  return out;
}

Result<> verify_signatures(const Trust& trust, const oci::Reference& reference,
                           const oci::Digest& manifest, std::span<const SignedPayload> signatures) {
  for (const SigstoreRequirement& requirement : trust.requirements) {
    NX_TRY(const std::vector<Key> keys, parse_keys(requirement.keys, trust.rule));
    std::vector<std::string> reasons;
    bool met = false;
    for (const SignedPayload& attached : signatures) {
      NX_TRY(std::string why, why_not(requirement, keys, reference, manifest, attached),
             "rule " + trust.rule);
      met = why.empty();
      if (met) break;
      reasons.push_back(std::move(why));
    }
    if (met) continue;
    if (reasons.empty()) reasons.emplace_back("the image has none");
    return fail(Errc::PermissionDenied, reference.str() + ": a signature is required by the rule " +
                                            trust.rule + ": " + join(reasons, "; "));
  }
  return {};
}

}  // namespace nexcage::registry::client
