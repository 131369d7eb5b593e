#include "nexcage/runtime/kept.h"

#include <fcntl.h>

#include <cerrno>

#include "nexcage/json/value.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {

Result<Kept> load_kept(const std::string& id, const Settings& settings) {
  const std::string file = Paths(settings).info_dir(id) + "/info.json";
  const auto text = sys::read_file(AT_FDCWD, file, json::Limits{}.max_bytes);
  if (!text) {
    if (text.error().sys_errno() == ENOENT) return Kept{};
    return fail(text.error());
  }
  NX_TRY(const json::Value info, json::parse(*text), file);
  Kept kept;
  if (const json::Value* layers = info.find("layerfs")) {
    NX_TRY(kept.layers, layerfs::mount_record_from_json(*layers), file);
  }
  if (const json::Value* volume = info.find("storage")) {
    NX_TRY(kept.volume, storage::volume_from_json(*volume), file);
  }
  return kept;
}

}  // namespace nexcage::runtime
