#include "nexcage/registry/client/sigstore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>

#include "nexcage/base/base64.h"
#include "result_matchers.h"

namespace nexcage::registry::client {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kDigest =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const std::string kOther =
    "sha256:aaaac44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A key pair of OpenSSL's own making.
class Signer {
 public:
  explicit Signer(EVP_PKEY* key) : key_(key, EVP_PKEY_free) {}
  static Signer ecdsa(const char* curve = "P-256") {
    return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve));
  }
  static Signer rsa(std::size_t bits) {
    return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits));
  }
  static Signer of(const char* kind) { return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, kind)); }
  std::string pem() const {
    BIO* bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, key_.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return out;
  }
  /// In base64, as the annotation has it.
  std::string sign(const std::string& payload) const {
    const bool hashed =
        EVP_PKEY_is_a(key_.get(), "EC") == 1 || EVP_PKEY_is_a(key_.get(), "RSA") == 1;
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    std::string out(1024, '\0');
    std::size_t size = out.size();
    EVP_DigestSignInit(context, nullptr, hashed ? EVP_sha256() : nullptr, nullptr, key_.get());
    EXPECT_EQ(
        EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size,
                       reinterpret_cast<const unsigned char*>(payload.data()), payload.size()),
        1);
    EVP_MD_CTX_free(context);
    out.resize(size);
    return base64_encode(out);
  }

 private:
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

std::string payload(const std::string& digest = kDigest, const std::string& name = "h.x/a:1",
                    const std::string& optional = "null") {
  return R"({"critical":{"identity":{"docker-reference":")" + name +
         R"("},"image":{"docker-manifest-digest":")" + digest +
         R"("},"type":"cosign container image signature"},"optional":)" + optional + "}";
}

Trust trust(const std::vector<std::string>& keys) {
  return {"/policy.json: default",
          {{keys, {SignedIdentity::Kind::match_repo_digest_or_exact, "", ""}}}};
}

Result<> verify(const Trust& rule, const std::vector<SignedPayload>& signatures) {
  return verify_signatures(rule, oci::Reference::parse("h.x/a:1").value(),
                           oci::Digest::parse(kDigest).value(), signatures);
}

TEST(Sigstore, keys_of_every_kind_verify_what_they_signed) {
  for (const Signer& signer : {Signer::ecdsa(), Signer::ecdsa("P-384"), Signer::ecdsa("P-521"),
                               Signer::rsa(2048), Signer::of("ED25519")}) {
    const std::string text = payload();
    const std::string signature = signer.sign(text);
    EXPECT_OK(verify(trust({signer.pem()}), {{text, signature}}));
    EXPECT_ERROR(verify(trust({signer.pem()}), {{text + " ", signature}}), Errc::PermissionDenied,
                 HasSubstr("made by none of the rule's keys"));
    EXPECT_ERROR(verify(trust({Signer::of("ED25519").pem()}), {{text, signature}}),
                 Errc::PermissionDenied, HasSubstr("made by none"));
  }
}

TEST(Sigstore, one_key_of_several_and_one_signature_of_several_suffice) {
  const Signer good = Signer::ecdsa();
  const Signer other = Signer::ecdsa();
  const std::string text = payload();
  const std::vector<SignedPayload> signatures = {{text, other.sign(text)}, {text, good.sign(text)}};
  EXPECT_OK(verify(trust({Signer::ecdsa().pem(), good.pem()}), signatures));
}

TEST(Sigstore, every_requirement_must_be_met) {
  const Signer one = Signer::ecdsa();
  const Signer two = Signer::ecdsa();
  const std::string text = payload();
  Trust both = trust({one.pem()});
  both.requirements.push_back(trust({two.pem()}).requirements[0]);
  EXPECT_ERROR(verify(both, {{text, one.sign(text)}}), Errc::PermissionDenied, HasSubstr("none"));
  EXPECT_OK(verify(both, {{text, one.sign(text)}, {text, two.sign(text)}}));
}

TEST(Sigstore, a_refusal_names_the_rule_and_the_reason) {
  const Signer signer = Signer::ecdsa();
  const auto signed_as = [&](const std::string& text) {
    return verify(trust({signer.pem()}), {{text, signer.sign(text)}});
  };
  EXPECT_ERROR(verify(trust({signer.pem()}), {}), Errc::PermissionDenied,
               HasSubstr("h.x/a:1: a signature is required by the rule /policy.json: default: the "
                         "image has none"));
  EXPECT_ERROR(signed_as(payload(kOther)), Errc::PermissionDenied,
               AllOf(HasSubstr("another manifest"), HasSubstr(kOther)));
  EXPECT_ERROR(signed_as(payload(kDigest, "h.x/a:2")), Errc::PermissionDenied,
               HasSubstr("for the name \"h.x/a:2\""));
  EXPECT_ERROR(verify(trust({signer.pem()}), {{payload(), "no base64!"}}), Errc::PermissionDenied,
               HasSubstr("no base64"));
}

TEST(Sigstore, what_is_signed_is_read_strictly) {
  const Signer signer = Signer::ecdsa();
  const auto signed_as = [&](const std::string& text) {
    return verify(trust({signer.pem()}), {{text, signer.sign(text)}});
  };
  EXPECT_OK(signed_as(payload(kDigest, "h.x/a:1", R"({"creator": "c", "timestamp": 1.5e9})")));
  EXPECT_OK(signed_as(payload(kDigest, "h.x/a:1", R"({"anything": [1]})")));
  std::string more = payload();
  more.insert(more.size() - 1, R"(,"more":1)");
  std::string other_type = payload();
  other_type.replace(other_type.find("cosign"), 6, "atomic");
  for (const std::string& text :
       {std::string("no json"), std::string("[]"), more, other_type, payload("sha256:12"),
        payload(kDigest, "h.x/a:1", "1"), payload(kDigest, "h.x/a:1", R"({"creator": 1})"),
        payload(kDigest, "h.x/a:1", R"({"timestamp": "now"})"),
        std::string(R"({"critical":{"identity":{"docker-reference":"h.x/a:1"}},"optional":null})"),
        std::string(R"({"critical":null,"optional":null})")}) {
    SCOPED_TRACE(text);
    EXPECT_ERROR(signed_as(text), Errc::PermissionDenied, HasSubstr("required by the rule"));
  }
}

TEST(Sigstore, keys_that_are_none_are_errors_of_the_configuration) {
  const std::string text = payload();
  for (const char* pem : {"", "key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
                          "-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END "
                          "ENCRYPTED PRIVATE KEY-----\n"})
    EXPECT_ERROR(verify(trust({pem}), {{text, "AA=="}}), Errc::ConfigError,
                 HasSubstr("rule /policy.json: default: the key is no public key"));
  EXPECT_ERROR(verify(trust({Signer::rsa(1024).pem()}), {{text, "AA=="}}), Errc::Unsupported,
               HasSubstr("less than 2048 bits"));
  EXPECT_ERROR(verify(trust({Signer::of("X25519").pem()}), {{text, "AA=="}}), Errc::Unsupported,
               HasSubstr("none of ECDSA"));
}

TEST(Sigstore, signatures_are_found_in_their_manifest) {
  const std::string head =
      R"({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
          "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": ")" +
      kDigest + R"(", "size": 2}, "layers": [)";
  const auto layer = [](const std::string& type, const std::string& size,
                        const std::string& annotation) {
    return R"({"mediaType": ")" + type + R"(", "digest": ")" + kOther + R"(", "size": )" + size +
           R"(, "annotations": {")" + annotation + R"(": "c2ln"}})";
  };
  const std::string type = "application/vnd.dev.cosign.simplesigning.v1+json";
  const std::string name = "dev.cosignproject.cosign/signature";
  const auto found = parse_signatures(json::parse(head + layer(type, "10", name) + "," +
                                                  layer("text/plain", "10", name) + "," +
                                                  layer(type, "10", "other") + "]}")
                                          .value());
  ASSERT_OK(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ((*found)[0].signature, "c2ln");
  EXPECT_EQ((*found)[0].payload.digest.str(), kOther);
  EXPECT_ERROR(parse_signatures(json::parse(head + layer(type, "65537", name) + "]}").value()),
               Errc::InvalidImage, HasSubstr("65537 bytes"));
  EXPECT_ERROR(parse_signatures(json::parse("[]").value()), Errc::InvalidImage,
               HasSubstr("signatures"));
  EXPECT_EQ(signature_tag(oci::Digest::parse(kDigest).value()),
            "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.sig");
}

}  // namespace
}  // namespace nexcage::registry::client
