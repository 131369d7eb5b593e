// Texts of --help, made from the tables of verbs and options.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/cli/context.h"
#include "nexcage/cli/options.h"
#include "nexcage/cli/verb.h"

namespace nexcage::cli {

/// `nexcage --help`.
std::string program_help(const Program& program, const Options& globals);
/// `nexcage image --help`: the verbs of a group.
std::string group_help(const Program& program, std::string_view group);
/// `nexcage VERB --help`.
std::string verb_help(const Program& program, const VerbEntry& entry, const Usage& usage,
                      const Options& options);

}  // namespace nexcage::cli
