// Building JSON objects from typed fields: the mirror of fields.h. Internal to oci/.
#pragma once

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nexcage/json/value.h"

namespace nexcage::oci {

inline json::Value write(bool value) { return value; }
inline json::Value write(const std::string& value) { return value; }
template <std::integral T>
  requires(!std::same_as<T, bool> && !std::same_as<T, char>)
json::Value write(T value) {
  if constexpr (std::is_signed_v<T>)
    return std::int64_t{value};
  else
    return std::uint64_t{value};
}

/// One object under construction. `some` leaves out what is empty, as engines expect it.
class Out {
 public:
  template <class T>
  void always(std::string_view name, const T& value) {
    object_.append(std::string(name), write(value));
  }
  template <class T>
  void some(std::string_view name, const std::optional<T>& value) {
    if (value) always(name, *value);
  }
  template <class T>
  void some(std::string_view name, const std::vector<T>& values) {
    if (values.empty()) return;
    json::Array array;
    array.reserve(values.size());
    for (const T& value : values) array.push_back(write(value));
    object_.append(std::string(name), std::move(array));
  }
  template <class T>
  void some(std::string_view name, const std::map<std::string, T>& values) {
    if (values.empty()) return;
    json::Object object;
    for (const auto& [key, value] : values) object.append(key, write(value));
    object_.append(std::string(name), std::move(object));
  }
  void some(std::string_view name, const std::string& value) {
    if (!value.empty()) always(name, value);
  }
  /// Numbers and flags whose default is zero.
  template <std::integral T>
  void some(std::string_view name, T value) {
    if (value != T{}) always(name, value);
  }
  void object(std::string_view name, json::Value value) {
    object_.append(std::string(name), std::move(value));
  }
  bool empty() const { return object_.empty(); }
  json::Value take() && { return std::move(object_); }

 private:
  json::Object object_;
};

}  // namespace nexcage::oci
