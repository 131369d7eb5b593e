#include "nexcage/pve/client/certificate.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <array>
#include <memory>

#include "nexcage/base/base64.h"
#include "nexcage/base/text.h"

namespace nexcage::pve::client {

namespace {

using Sum = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

struct FreeOpenssl {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(unsigned char* bytes) const { OPENSSL_free(bytes); }
};

Sum sum_of(const unsigned char* bytes, int length) {
  Sum sum{};
  SHA256(bytes, static_cast<std::size_t>(length), sum.data());
  return sum;
}

std::string with_colons(const Sum& sum) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string text;
  for (const unsigned char byte : sum) {
    if (!text.empty()) text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string plain(std::string_view fingerprint) {
  std::string text;
  for (const char c : to_lower(fingerprint))
    if (c != ':' && c != ' ') text += c;
  return text;
}

}  // namespace

Result<Fingerprints> fingerprints_of(std::string_view pem) {
  const std::unique_ptr<BIO, FreeOpenssl> memory(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const std::unique_ptr<X509, FreeOpenssl> certificate(
      memory ? PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr) : nullptr);
  unsigned char *whole = nullptr, *key = nullptr;
  const int whole_size = certificate ? i2d_X509(certificate.get(), &whole) : -1;
  const std::unique_ptr<unsigned char, FreeOpenssl> free_whole(whole);
  const int key_size =
      certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate.get()), &key) : -1;
  const std::unique_ptr<unsigned char, FreeOpenssl> free_key(key);
  if (whole_size <= 0 || key_size <= 0)
    return fail(Errc::ProxmoxError, "the certificate cannot be read");
  const Sum key_sum = sum_of(key, key_size);
  const std::string_view key_bytes(reinterpret_cast<const char*>(key_sum.data()), key_sum.size());
  return Fingerprints{.certificate = with_colons(sum_of(whole, whole_size)),
                      .public_key = "sha256//" + base64_encode(key_bytes)};
}

bool same_fingerprint(std::string_view a, std::string_view b) { return plain(a) == plain(b); }

}  // namespace nexcage::pve::client
