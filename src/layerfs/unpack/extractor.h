// Applies the members of one layer's tar to a LayerTree.
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/layerfs/unpack/layer_tree.h"

namespace nexcage::layerfs::unpack {

class Extractor {
 public:
  /// Both outlive the extractor.
  Extractor(LayerTree& tree, image::content::TarReader& reader) : tree_(tree), reader_(reader) {}

  /// All members, then the directories' metadata. InvalidImage for a member that may not be in an
  /// image; a member that comes again replaces the earlier one. Errors name the member.
  Result<> run();

 private:
  Result<> add(const image::content::TarEntry& entry);
  Result<> add_whiteout(const std::vector<std::string>& parent, std::string_view base);
  Result<> add_directory(const image::content::TarEntry& entry, const Directory& parent,
                         const std::string& name);
  Result<> add_regular(const image::content::TarEntry& entry, const Directory& parent,
                       const std::string& name);
  Result<> add_symlink(const image::content::TarEntry& entry, const Directory& parent,
                       const std::string& name);
  Result<> add_node(const image::content::TarEntry& entry, const Directory& parent,
                    const std::string& name);
  Result<> add_hard_link(const image::content::TarEntry& entry,
                         const std::vector<std::string>& parent_names, const std::string& name);
  Result<> write_data(const image::content::TarEntry& entry, int fd);

  LayerTree& tree_;
  image::content::TarReader& reader_;
};

}  // namespace nexcage::layerfs::unpack
