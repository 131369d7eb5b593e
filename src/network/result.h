// What a plugin answers (CNI spec 1.0.0, section 5; results of 0.1.0 and 0.2.0 have ip4 and ip6).
// Written by strangers: nothing is believed. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/network/address.h"
#include "nexcage/network/files.h"

namespace nexcage::network {

/// What an ADD came to, as far as the container and its user need to know.
struct Outcome {
  std::vector<Prefix> addresses;
  std::string gateway;  // of the first address that has one
  std::string mac;      // of the interface in the container; empty: unknown
  Resolver dns;
};

/// InvalidJson for a result of another form: addresses, gateways, hardware addresses and servers
/// that are none.
Result<Outcome> parse_result(const json::Value& result);

/// The answer of one ADD as a value. InvalidJson naming what is wrong.
Result<json::Value> parse_answer(std::string_view out);

/// What a failed plugin said, from its error object or, without one, from its standard error.
/// ConfigError where the plugin says that its configuration is to blame (codes 1, 2, 6, 7), else
/// RuntimeNotAvailable.
Error plugin_error(int exit_code, std::string_view out, std::string_view err);

}  // namespace nexcage::network
