#include "nexcage/cli/layers.h"

namespace nexcage::cli {
namespace {

constexpr std::size_t kDigits = 12;

}  // namespace

std::string short_key(std::string_view key) {
  const std::size_t dash = key.find('-');
  if (dash == std::string_view::npos) return std::string(key);
  return std::string(key.substr(0, dash + 1 + kDigits));
}

}  // namespace nexcage::cli
