// Blobs that the process which talks to registries has left in {root}/.partial, verified and
// durable, and their way into the store (registry/client/staging.h writes them):
//
//   <alg>-<hex>.done         a whole blob
//   <alg>-<hex>, .map        what has come of one so far; locked (flock) while it is being fetched
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/layout.h"
#include "nexcage/image/names.h"

namespace nexcage::image {

inline constexpr std::string_view kStagingDir = ".partial";

// What the store remembers of a pull, as annotations of the entry in index.json.
/// "registry/repository" it came from: damaged blobs are fetched again from there.
inline constexpr std::string_view kOrigin = "org.nexcage.origin";
/// Digest that the registry has under the name, where it is not the entry's own.
inline constexpr std::string_view kPulled = "org.nexcage.pulled";
/// "os/architecture[/variant]", where it was not this machine's.
inline constexpr std::string_view kPlatform = "org.nexcage.platform";

struct StagedBlob {
  oci::Digest digest;
  std::uint64_t size = 0;  // bytes
  bool document = false;   // JSON: looked at again where the store has it already
};

enum class Committed : std::uint8_t {
  yes,
  blobs_missing,  // one was removed in the meantime, or damaged; nothing of the image is visible
};
/// Moves the blobs in that are not there already, checks manifest and configuration, and then gives
/// `named` its names, all durably. InvalidImage when the documents are wrong or what lies in the
/// staging directory is no blob.
Result<Committed> commit_staged(const Layout& layout, const std::vector<StagedBlob>& blobs,
                                const Named& named);
/// Moves blobs in without naming anything: for images that have lost them. What nobody needs is
/// removed by the next sweep.
Result<Committed> commit_blobs(const Layout& layout, const std::vector<StagedBlob>& blobs);

/// What lies in the staging directory and nobody is fetching.
struct StagingFile {
  std::string name;
  std::uint64_t size = 0;  // bytes on disk
  std::chrono::seconds age{};
  bool whole = false;  // a .done file
};
Result<std::vector<StagingFile>> idle_staging(const Layout& layout);
/// Removes it unless somebody has begun to fetch it; false then.
Result<bool> remove_staging(const Layout& layout, const StagingFile& file);

}  // namespace nexcage::image
