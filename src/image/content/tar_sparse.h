// The maps of sparse members (GNU tar manual, "Storing Sparse Files"; old GNU headers, PAX formats
// 0.0, 0.1 and 1.0).
#pragma once

#include <cstdint>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/image/content/tar_input.h"
#include "nexcage/image/content/tar_pax.h"
#include "nexcage/image/content/tar_reader.h"

namespace nexcage::image::content {

/// Old GNU ('S'): the map begins in the header and goes on in blocks that follow it. Sets sparse,
/// size and segments of the entry.
Result<> read_old_gnu_sparse(const TarBlock& header, TarInput& input, const TarLimits& limits,
                             TarEntry& entry);

/// PAX formats, if the records say that the member is sparse: name, size and segments of the entry.
/// For 1.0 the map is read from the front of the member's data; returns how many bytes of the
/// stored data it took (whole blocks).
Result<std::uint64_t> read_pax_sparse(const PaxRecords& records, TarInput& input,
                                      std::uint64_t stored, const TarLimits& limits,
                                      TarEntry& entry);

/// Checks the map: ascending, within the size, and together as long as the data that is stored.
/// Drops empty segments.
Result<> check_sparse(TarEntry& entry, std::uint64_t stored);

}  // namespace nexcage::image::content
