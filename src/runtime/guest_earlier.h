// What a guest was asked to be before each of the updates that can be taken back:
// {record.state_dir}/earlier.json, newest first; and next.json, what an update that is under way
// makes of the record's files.
#pragma once

#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/runtime/settings.h"

namespace nexcage::runtime {

/// An earlier root of a guest.
struct EarlierImage {
  std::string image, digest;
};
/// Those that Backend::roll_back can bring back, newest first; none of a record that is no guest's.
std::vector<EarlierImage> earlier_images(const backends::Record& record);

/// Before Backend::replace_image: when that has counted the change, these are config.json and
/// source.json, and those of now are earlier ones; no more of them than old roots are kept.
Result<> announce_update(const backends::Record& record, const Settings& settings,
                         json::Value config, json::Value source);
/// Before Backend::roll_back: those of the last update come back.
Result<> announce_rollback(const backends::Record& record);
/// Carries out what was announced if the record's backend_data have counted the change, else drops
/// it; the record has its annotations then. It may be repeated when it was killed. False: nothing
/// was announced.
Result<bool> settle_change(backends::Record& record);

}  // namespace nexcage::runtime
