// Choosing the entry of an index for a platform.
#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/oci/image.h"

namespace nexcage::oci {
namespace {

/// The level that an architecture has when no variant is named.
std::string_view default_variant(std::string_view architecture) {
  if (architecture == "arm64") return "v8";
  if (architecture == "arm") return "v7";
  if (architecture == "amd64") return "v1";
  return "";
}

/// "v8.2" -> 802: a machine runs every level up to its own. nullopt when levels cannot be compared.
std::optional<std::uint64_t> level(std::string_view variant) {
  if (!variant.starts_with('v')) return std::nullopt;
  const std::size_t point = variant.find('.');
  const auto major =
      parse_u64(variant.substr(1, point == std::string_view::npos ? point : point - 1));
  const auto minor = point == std::string_view::npos ? 0 : parse_u64(variant.substr(point + 1));
  if (!major || !minor || *major > 99 || *minor > 99) return std::nullopt;
  return *major * 100 + *minor;
}

/// How well an entry serves: 0 not at all, larger is better.
std::uint64_t fitness(const Platform& offered, const Platform& wanted) {
  if (offered.os != wanted.os || offered.architecture != wanted.architecture) return 0;
  const std::string_view usual = default_variant(wanted.architecture);
  const std::string_view have = offered.variant.empty() ? usual : offered.variant;
  const std::string_view want = wanted.variant.empty() ? usual : wanted.variant;
  constexpr std::uint64_t kExact = 1'000'000;
  if (have == want) return kExact;
  const auto have_level = level(have);
  const auto want_level = level(want);
  if (!have_level || !want_level || *have_level > *want_level) return 0;
  return *have_level + 1;
}

}  // namespace

const Descriptor* choose_platform(const Index& index, const Platform& wanted) {
  const Descriptor* best = nullptr;
  std::uint64_t best_fitness = 0;
  for (const Descriptor& descriptor : index.manifests) {
    if (!descriptor.platform) continue;
    const std::uint64_t now = fitness(*descriptor.platform, wanted);
    if (now > best_fitness) {  // the first of equals, as the spec orders it
      best = &descriptor;
      best_fitness = now;
    }
  }
  return best;
}

std::string platform_text(const Platform& platform) {
  const std::string text = platform.os + "/" + platform.architecture;
  return platform.variant.empty() ? text : text + "/" + platform.variant;
}

std::string platform_list(const Index& index) {
  constexpr std::size_t kMost = 10;
  std::vector<std::string> texts;
  for (const Descriptor& descriptor : index.manifests) {
    if (!descriptor.platform || descriptor.platform->os == "unknown") continue;
    std::string text = platform_text(*descriptor.platform);
    if (std::ranges::find(texts, text) == texts.end()) texts.push_back(std::move(text));
    if (texts.size() == kMost) break;
  }
  return texts.empty() ? "none" : join(texts, ", ");
}

Platform host_platform() {
  Platform platform;
  platform.os = "linux";
#if defined(__x86_64__)
  platform.architecture = "amd64";
#elif defined(__aarch64__)
  platform.architecture = "arm64";
  platform.variant = "v8";
#elif defined(__arm__)
  platform.architecture = "arm";
  platform.variant = "v7";
#elif defined(__i386__)
  platform.architecture = "386";
#elif defined(__riscv) && __riscv_xlen == 64
  platform.architecture = "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
  platform.architecture = "ppc64le";
#elif defined(__s390x__)
  platform.architecture = "s390x";
#elif defined(__loongarch64)
  platform.architecture = "loong64";
#else
#error "name this architecture as Go does"
#endif
  return platform;
}

}  // namespace nexcage::oci
