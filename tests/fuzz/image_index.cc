// Image indexes: an accepted one is written as one that says the same.
#include <algorithm>

#include "harness.h"
#include "nexcage/oci/image.h"

namespace nexcage::fuzz {

NX_HARNESS(image_index) {
  const auto value = json::parse(text_of(data, size));
  if (!value) return 0;
  const auto index = oci::parse_index(*value);
  if (!index) {
    check(index.error().code() == Errc::InvalidImage, "the code is InvalidImage");
    check_message(index.error());
    return 0;
  }
  check(!oci::parse_manifest(*value), "no document is an index and a manifest");
  const json::Value written = oci::to_json(*index);
  const auto text = json::parse(json::dump(written));
  check(text.has_value(), "unknown fields never double a known one");
  const auto again = oci::parse_index(*text);
  check(again.has_value(), "what is written is accepted");
  check(oci::to_json(*again) == written, "writing is stable");

  const oci::Platform host = oci::host_platform();
  const oci::Descriptor* chosen = oci::choose_platform(*index, host);
  if (chosen == nullptr) return 0;
  check(chosen >= index->manifests.data() &&
            chosen < index->manifests.data() + index->manifests.size(),
        "the choice is an entry");
  check(chosen->platform->os == host.os && chosen->platform->architecture == host.architecture,
        "the choice runs here");
  return 0;
}

}  // namespace nexcage::fuzz
