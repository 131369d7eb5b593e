// The plan as text, for --debug and golden tests.
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/sys/plan.h"

namespace nexcage::sys::plan {
namespace {

/// Appends " name=value" for each field that differs from the default of its type.
class Describer {
 public:
  explicit Describer(std::string& out, std::string_view between = " ")
      : out_(out), between_(between) {}

  template <class T>
  void record(const T& value) {
    const T unset{};
    // Both records list the same fields in the same order: take the defaults first, then compare.
    std::vector<std::string> defaults;
    T::each(unset, [&](std::string_view, const auto& field) { defaults.push_back(text(field)); });
    std::size_t index = 0;
    T::each(value, [&](std::string_view name, const auto& field) {
      std::string shown = text(field);
      if (shown != defaults[index++])
        out_ += std::string(between_) + std::string(name) + "=" + shown;
    });
  }

 private:
  static std::string text(bool value) { return value ? "yes" : "no"; }
  template <class T>
    requires std::is_integral_v<T>
  static std::string text(T value) {
    return std::to_string(value);
  }
  static std::string text(std::uint64_t value) { return hex(value); }
  static std::string text(const std::string& value) {
    return is_printable(value) ? value : "(" + std::to_string(value.size()) + " bytes)";
  }
  template <class T>
  static std::string text(const std::vector<T>& list) {
    std::string out = "[";
    for (const T& item : list) out += (out.size() > 1 ? "," : "") + text(item);
    return out + "]";
  }
  template <class T>
    requires std::is_class_v<T>
  static std::string text(const T& value) {
    std::string out = "{";
    Describer(out).record(value);
    return out + "}";
  }
  static std::string hex(std::uint64_t value) {
    std::array<char, 20> buffer{};
    (void)std::snprintf(buffer.data(), buffer.size(), "0x%llx",
                        static_cast<unsigned long long>(value));
    return buffer.data();
  }

  std::string& out_;
  std::string_view between_;
};

}  // namespace

std::string describe(const Plan& plan) {
  std::string out;
  for (const Operation& operation : plan.operations) {
    std::visit(
        [&](const auto& value) {
          out += value.kName;
          Describer(out).record(value);
          out += "\n";
        },
        operation);
  }
  out += "process";
  Describer(out, "\n  ").record(plan.process);
  return out + "\n";
}

}  // namespace nexcage::sys::plan
