// The Hasher that real use has: libexec/nexcage/image reads the files.
#pragma once

#include <string>
#include <vector>

#include "nexcage/json/value.h"
#include "nexcage/layerfs/layerfs.h"

namespace nexcage::layerfs {

/// Runs `{libexec_dir}/image hash` once for all files (image/helper.h); it reads as many at a time
/// as there are cores.
Hasher helper_hasher(std::string libexec_dir);

// The messages between the two.
json::Value hash_request(const std::vector<std::string>& paths);
Result<std::vector<std::string>> parse_hash_request(const json::Value& request);
json::Value hash_answer(const std::vector<Result<oci::Digest>>& digests);

}  // namespace nexcage::layerfs
