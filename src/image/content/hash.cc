#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>

#include "nexcage/image/content/stream.h"

namespace nexcage::image::content {

namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

constexpr std::string_view kHexDigits = "0123456789abcdef";

}  // namespace

struct Hasher::State {
  std::unique_ptr<EVP_MD_CTX, FreeContext> context;
  std::string algorithm;
};

Hasher::Hasher(std::unique_ptr<State> state) : state_(std::move(state)) {}
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

Result<Hasher> Hasher::create(std::string_view algorithm) {
  const EVP_MD* md = algorithm == "sha256"   ? EVP_sha256()
                     : algorithm == "sha512" ? EVP_sha512()
                                             : nullptr;
  // No configuration file: hashing needs none, and a confined process may not read it.
  (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  if (md == nullptr) return fail(Errc::Unsupported, "digest algorithm " + std::string(algorithm));
  auto state = std::make_unique<State>();
  state->algorithm = algorithm;
  state->context.reset(EVP_MD_CTX_new());
  if (!state->context || EVP_DigestInit_ex(state->context.get(), md, nullptr) != 1)
    return fail(Errc::OutOfMemory, "start hashing with " + state->algorithm);
  return Hasher(std::move(state));
}

void Hasher::update(std::span<const std::byte> data) {
  // Cannot fail for a context that was initialised (EVP_DigestInit(3)).
  (void)EVP_DigestUpdate(state_->context.get(), data.data(), data.size());
}

oci::Digest Hasher::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned length = 0;
  (void)EVP_DigestFinal_ex(state_->context.get(), raw.data(), &length);
  std::string hex;
  hex.reserve(std::size_t{length} * 2);
  for (unsigned i = 0; i < length; ++i) {
    hex += kHexDigits[raw[i] >> 4];
    hex += kHexDigits[raw[i] & 15];
  }
  return oci::Digest::from_hex(state_->algorithm, hex);
}

oci::Digest sha256_of(std::string_view text) {
  // Only the allocation of a small context can go wrong, and that ends the process as new does.
  Hasher hasher = Hasher::create("sha256").value();
  hasher.update(std::as_bytes(std::span(text)));
  return hasher.finish();
}

Result<std::unique_ptr<HashingSource>> HashingSource::create(ByteSource& from,
                                                             std::string_view algorithm) {
  NX_TRY(Hasher hasher, Hasher::create(algorithm));
  return std::unique_ptr<HashingSource>(new HashingSource(from, std::move(hasher)));
}

Result<std::size_t> HashingSource::read(std::span<std::byte> buffer) {
  NX_TRY(std::size_t n, from_.read(buffer));
  hasher_.update(buffer.first(n));
  bytes_ += n;
  return n;
}

}  // namespace nexcage::image::content
