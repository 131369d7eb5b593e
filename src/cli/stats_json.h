// Events as runc prints them: a line of JSON each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/json/value.h"
#include "nexcage/sys/cgroup_stats.h"

namespace nexcage::cli {

/// {"type": TYPE, "id": ID, "data": DATA}; null data is left out.
std::string event_line(std::string_view type, const std::string& id, json::Value data);

/// The `data` of a "stats" event, with the names, the order and the omissions of runc's.
json::Value stats_json(const sys::CgroupStats& stats,
                       const std::vector<sys::InterfaceCounters>& interfaces);

/// "0-2,7" -> 0, 1, 2, 7. What is no such list is empty.
std::vector<std::uint64_t> expand_list(std::string_view text);

}  // namespace nexcage::cli
