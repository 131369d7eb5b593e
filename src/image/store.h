// The image store: a valid OCI image layout that other tools can read, and beside it the name/tag
// view for people. Everything that reads file contents of strangers (tar, gzip, hashing) runs in
// libexec/nexcage/image; what is declared here reads verified JSON documents only and links nothing
// but the C++ runtime.
//
//   {root}/oci-layout, index.json, blobs/sha256/<hex>       OCI image layout 1.0
//   {root}/{registry}/{repository}/{tag}/manifest.json      relative links into blobs/
//                                       /config.json
//                                       /layers/0.tar.gz ...
//   {root}/.lock                                            flock around changes of index.json
//   {root}/.tmp/                                            blobs being written
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/base/unique_fd.h"
#include "nexcage/oci/digest.h"
#include "nexcage/oci/image.h"
#include "nexcage/oci/reference.h"

namespace nexcage::image {

struct LayerBlob {
  oci::Descriptor blob;  // compressed, as in the manifest
  oci::Digest diff_id;   // of the uncompressed tar
  oci::Compression compression;
};

/// An image whose documents are parsed and consistent and whose blobs are all present with the
/// right size. The stage "ResolvedImage" of the creation flow.
struct Image {
  std::vector<oci::Reference> names;  // names that point at this manifest
  oci::Descriptor entry;  // what index.json lists: this manifest, or an index that leads to it
  oci::Descriptor manifest_descriptor;
  oci::Manifest manifest;
  oci::ImageConfig config;
  std::vector<LayerBlob> layers;  // lowest first
  std::uint64_t total_size() const;
};

class Store {
 public:
  /// Opens (creating the layout, directories 0755, when it is missing and `create`). ConfigError
  /// when the directory holds something that is no OCI layout.
  enum class IfMissing : std::uint8_t { create, fail };
  static Result<Store> open(const std::string& root, IfMissing if_missing);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  const std::string& root() const;
  int fd() const;

  /// What a user wrote -> image: a name (normalised), name@digest, a digest ("sha256:..."), or a
  /// unique prefix of at least 4 hex digits of the image ID (config digest) or manifest digest.
  /// ImageNotFound with a hint, or InvalidImage naming the blob and what is wrong with it.
  Result<Image> resolve(std::string_view what) const;
  /// Every manifest of index.json with its names. Images that do not validate are still listed,
  /// with the error beside them.
  struct Listed {
    std::vector<oci::Reference> names;
    oci::Descriptor manifest;
    std::optional<Image> image;
    std::optional<Error> error;
  };
  Result<std::vector<Listed>> list() const;

  /// The blob's content, opened read-only. InvalidImage when missing or of another size.
  Result<UniqueFd> open_blob(const oci::Descriptor& blob) const;

  /// Points `name` at a manifest that is in the store; replaces what the name pointed at. Atomic:
  /// index.json is replaced durably, then the view is brought in line.
  Result<> tag(const oci::Reference& name, const oci::Descriptor& manifest);
  /// Takes the name away; with `what` a digest or ID all its names. When no name is left the
  /// manifest goes and blobs no other manifest needs are removed. Returns what was removed.
  struct Removed {
    std::vector<oci::Reference> names;
    std::vector<oci::Digest> blobs;
    std::uint64_t freed = 0;  // bytes
  };
  Result<Removed> remove(std::string_view what);

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Chain IDs of a layer stack: result[i] identifies layers 0..i (image-spec config.md). Pure;
/// SHA-256 of short strings only, so it carries its own small implementation (no OpenSSL here).
std::vector<oci::Digest> chain_ids(const std::vector<oci::Digest>& diff_ids);

}  // namespace nexcage::image
