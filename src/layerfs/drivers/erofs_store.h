// What the driver `erofs` has prepared (layer_store.h says how it lies on disk):
//
//   t-{diff ID}/tar         a layer as it was inflated, shared by all images and forms
//   m-{chain ID}/index      EROFS index of a whole stack; its data is in the tars (form merged)
//   i-{chain ID}/index      EROFS index of the highest layer of a stack (form index)
//   f-{chain ID}/index      EROFS image of a whole stack with its data (form full)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/layerfs/drivers/layer_store.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs::erofs_driver {

inline constexpr const char* kTarFile = "tar";
inline constexpr const char* kIndexFile = "index";

std::string tar_key(const oci::Digest& diff_id);
bool is_tar_key(std::string_view key);
/// For the forms merged, index and full.
std::string image_key(ConvertForm form, const oci::Digest& chain_id);
/// The form in words ("merged"), by the key of an image.
std::string_view image_form(std::string_view key);
/// File of data within a prepared directory: kTarFile or kIndexFile.
const char* file_of(std::string_view key);

/// done.json of a tar.
struct TarInfo {
  oci::Digest diff_id;
  std::uint64_t bytes = 0, entries = 0;
  std::string verity;  // fs-verity digest, where the file system has it
};
/// done.json of an image.
struct ImageInfo {
  ConvertForm form{};
  oci::Digest digest;  // SHA-256
  std::uint64_t bytes = 0, entries = 0;
  std::string verity;
  bool root_opaque = false;           // form index: nothing below it is to be seen
  std::vector<oci::Digest> diff_ids;  // of the stack, lowest first; form index: of the layer
  std::optional<oci::Digest> parent;  // form index: chain ID below
  std::vector<TarInfo> devices;       // the tars it needs, in the order of its device table
};
json::Value to_json(const TarInfo& info);
json::Value to_json(const ImageInfo& info);

/// nullopt when it is not prepared; LayerError with a hint when it is damaged.
Result<std::optional<TarInfo>> find_tar(const LayerStore& store, const std::string& key);
Result<std::optional<ImageInfo>> find_image(const LayerStore& store, const std::string& key);

/// A prepared file for mounting: regular, root's, of the noted size and fs-verity digest.
/// LayerError otherwise.
Result<UniqueFd> open_checked(const LayerStore& store, const std::string& key, std::uint64_t bytes,
                              const std::string& verity);

}  // namespace nexcage::layerfs::erofs_driver
