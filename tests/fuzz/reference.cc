// Image references and digests: names become directories of the image store.
#include "nexcage/oci/reference.h"

#include <algorithm>

#include "harness.h"

namespace nexcage::fuzz {

NX_HARNESS(reference) {
  const std::string_view text = text_of(data, size);
  if (const auto digest = oci::Digest::parse(text)) {
    check(digest->str() == text, "a digest is its text");
    check(digest->hex().find_first_not_of("0123456789abcdef") == std::string_view::npos,
          "a blob's name is hex");
  }
  const auto reference = oci::Reference::parse(text);
  if (!reference) {
    check_message(reference.error());
    return 0;
  }
  const auto again = oci::Reference::parse(reference->str());
  check(again.has_value() && *again == *reference, "parse(str()) gives the same value");

  const std::string name = reference->name();
  check(name.size() <= 255, "names are at most 255 long");
  check(!name.starts_with('/') && !name.ends_with('/'), "a name is a relative path");
  for (const char* part : {"//", "..", "./", "/."})
    check(name.find(part) == std::string::npos, "a name stays below its directory");
  check(std::ranges::all_of(name, [](char c) { return c > ' ' && c < 0x7f; }),
        "a name is plain text");
  check(!reference->tag.empty() || reference->digest.has_value(), "something is named");
  check(reference->tag.find('/') == std::string::npos && !reference->tag.starts_with('.'),
        "a tag is a file's name");
  return 0;
}

}  // namespace nexcage::fuzz
