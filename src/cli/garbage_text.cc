#include "nexcage/cli/garbage_text.h"

#include <cstdint>

#include "nexcage/base/text.h"

namespace nexcage::cli {
namespace {

template <class Items>
std::string line(std::string_view verb, const Items& items, std::string_view what) {
  if (items.empty()) return "";
  std::uint64_t bytes = 0;
  for (const auto& item : items) bytes += item.size;
  return std::string(verb) + " " + std::to_string(items.size()) + " " + std::string(what) + ", " +
         format_bytes(bytes) + "\n";
}

}  // namespace

std::string garbage_text(const runtime::GarbageReport& report, runtime::Remove remove) {
  const std::string_view verb = remove == runtime::Remove::yes ? "removed" : "unused:";
  std::string text = line(verb, report.store.blobs, "blobs of no image") +
                     line(verb, report.store.staging, "files of pulls that were given up");
  if (!report.layers.keys.empty())
    text += std::string(verb) + " " + std::to_string(report.layers.keys.size()) +
            " prepared layers of no image, " + format_bytes(report.layers.bytes) + "\n";
  return text +
         line("kept", report.store.resumable, "files of interrupted pulls, to be gone on from");
}

}  // namespace nexcage::cli
