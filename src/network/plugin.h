// Running the plugins of a network (CNI spec 1.0.0, section 2).
#pragma once

#include <string>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/network/attachment.h"

namespace nexcage::network {

/// The program of this type in the first directory that has it. RuntimeNotAvailable with the
/// package that brings it.
Result<std::string> find_plugin(const std::string& dirs, const std::string& type);

/// Every program that the list needs is there: its plugins, those for addresses, and for our own
/// kind of networks iptables.
Result<> check_programs(const NetworkList& list, const std::string& dirs);

/// Runs one plugin for ADD and returns its result. Errors as in plugin_error; Timeout when it takes
/// more than a minute.
Result<json::Value> add_with(const Attachment& attachment, std::size_t index,
                             const json::Value& previous);
/// The same for DEL, which answers nothing.
Result<> delete_with(const Attachment& attachment, std::size_t index);

}  // namespace nexcage::network
