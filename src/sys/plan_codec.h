// Writer and reader of the plan's bytes: little integers as they lie in memory (both sides are the
// same machine), texts and lists with their length in front.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace nexcage::sys::plan {

template <class T>
concept Scalar = std::is_integral_v<T>;

class Writer {
 public:
  template <Scalar T>
  void put(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(const std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    out_ += text;
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(static_cast<std::uint32_t>(list.size()));
    for (const T& item : list) put(item);
  }
  template <class... Ts>
  void put(const std::variant<Ts...>& choice) {
    put(static_cast<std::uint8_t>(choice.index()));
    std::visit([this](const auto& value) { this->put(value); }, choice);
  }
  template <class T>
    requires std::is_class_v<T>
  void put(const T& record) {
    T::each(record, [this](std::string_view, const auto& value) { this->put(value); });
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  template <Scalar T>
  void get(T& value) {
    if (in_.size() < sizeof value) return fail();
    if constexpr (std::is_same_v<T, bool>) {
      if (in_[0] != 0 && in_[0] != 1) return fail();  // any other byte in a bool is undefined
      value = in_[0] == 1;
    } else {
      std::memcpy(&value, in_.data(), sizeof value);
    }
    in_.remove_prefix(sizeof value);
  }
  void get(std::string& text) {
    std::uint32_t size = length();
    text.assign(in_.substr(0, size));
    in_.remove_prefix(size);
  }
  template <class T>
  void get(std::vector<T>& list) {
    std::uint32_t size = length();
    for (std::uint32_t i = 0; i < size && ok_; ++i) get(list.emplace_back());
  }
  template <class... Ts>
  void get(std::variant<Ts...>& choice) {
    std::uint8_t index = 0;
    get(index);
    if (!ok_ || index >= sizeof...(Ts)) return fail();
    choose(choice, index, std::index_sequence_for<Ts...>{});
  }
  template <class T>
    requires std::is_class_v<T>
  void get(T& record) {
    T::each(record, [this](std::string_view, auto& value) { this->get(value); });
  }
  /// Everything was read, and nothing was missing.
  bool complete() const { return ok_ && in_.empty(); }

 private:
  template <class Variant, std::size_t... I>
  void choose(Variant& choice, std::size_t index, std::index_sequence<I...>) {
    ((I == index ? get(choice.template emplace<I>()) : void()), ...);
  }
  /// A length that what is left can hold (an element has at least one byte, or the list is
  /// refused).
  std::uint32_t length() {
    std::uint32_t size = 0;
    get(size);
    if (size > in_.size()) fail();
    return ok_ ? size : 0;
  }
  void fail() {
    ok_ = false;
    in_ = {};
  }

  std::string_view in_;
  bool ok_ = true;
};

}  // namespace nexcage::sys::plan
