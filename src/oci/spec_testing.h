// Documents for the tests of the runtime spec.
#pragma once

#include <string>
#include <string_view>

#include "nexcage/base/text.h"
#include "nexcage/json/value.h"
#include "nexcage/oci/spec.h"

namespace nexcage::oci {

inline json::Value document(std::string_view text) {
  auto value = json::parse(text);
  return value ? *value : json::Value(value.error().message());
}

/// Puts `value` at a path of member names ("linux/resources"), making objects on the way.
inline void put(json::Value& at, std::string_view path, json::Value value) {
  if (at.if_object() == nullptr) at = json::Object();
  const std::size_t slash = path.find('/');
  const std::string name(path.substr(0, slash));
  if (slash == std::string_view::npos) {
    at.if_object()->set(name, std::move(value));
    return;
  }
  json::Value* next = at.if_object()->find(name);
  if (next == nullptr) next = &at.if_object()->set(name, json::Object());
  put(*next, path.substr(slash + 1), std::move(value));
}

/// The smallest spec with a process, and JSON text put at `path`.
inline json::Value spec_with(std::string_view path, std::string_view text) {
  json::Value value = document(
      R"({"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["sh"],"cwd":"/"},
          "root":{"path":"rootfs"}})");
  put(value, path, document(text));
  return value;
}

}  // namespace nexcage::oci
