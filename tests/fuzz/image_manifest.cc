// Image manifests; each descriptor is written as one that says the same.
#include "harness.h"
#include "nexcage/oci/image.h"

namespace nexcage::fuzz {
namespace {

void check_descriptor(const oci::Descriptor& descriptor) {
  const json::Value written = oci::to_json(descriptor);
  const auto text = json::parse(json::dump(written));
  check(text.has_value(), "unknown fields never double a known one");
  const auto again = oci::parse_descriptor(*text);
  check(again.has_value(), "what is written is accepted");
  check(oci::to_json(*again) == written, "writing is stable");
  check(again->digest == descriptor.digest && again->size == descriptor.size, "content is kept");
}

}  // namespace

NX_HARNESS(image_manifest) {
  const auto value = json::parse(text_of(data, size));
  if (!value) return 0;
  const auto manifest = oci::parse_manifest(*value);
  if (!manifest) {
    check(manifest.error().code() == Errc::InvalidImage, "the code is InvalidImage");
    check_message(manifest.error());
    return 0;
  }
  check(!oci::parse_index(*value), "no document is a manifest and an index");
  check_descriptor(manifest->config);
  for (const oci::Descriptor& layer : manifest->layers) check_descriptor(layer);
  if (manifest->subject) check_descriptor(*manifest->subject);
  return 0;
}

}  // namespace nexcage::fuzz
