// What registries say outside of documents: challenges, places, ranges, links, tokens, error
// bodies; and the map of a partial blob, which a power cut may have mangled.
#include <algorithm>

#include "harness.h"
#include "nexcage/registry/client/auth.h"
#include "nexcage/registry/client/challenge.h"
#include "nexcage/registry/client/listing.h"
#include "nexcage/registry/client/remote.h"
#include "nexcage/registry/client/retry.h"
#include "nexcage/registry/client/segment.h"
#include "nexcage/registry/client/staging.h"
#include "nexcage/registry/client/upload.h"
#include "nexcage/registry/client/url.h"

namespace nexcage::fuzz {
namespace {

using namespace registry::client;

bool is_clean(std::string_view text) {
  return std::ranges::none_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

void challenges(std::string_view text) {
  for (const Challenge& challenge : parse_challenges(text)) {
    check(!challenge.scheme.empty() && is_clean(challenge.scheme), "a scheme is a word");
    for (const auto& [name, value] : challenge.parameters)
      check(is_clean(name) && is_clean(value), "parameters hold no control characters");
  }
}

void urls(std::string_view text) {
  const Url base = parse_url("https://registry.example:5000/v2/a/b?c").value();
  const auto url = resolve(base, text);
  if (!url) return check_message(url.error());
  check(url->scheme == "http" || url->scheme == "https", "only HTTP is spoken");
  check(!url->authority.empty() && url->authority.find_first_of("/@?# ") == std::string::npos,
        "an authority is host and port");
  check(is_clean(url->str()) && url->str().find(' ') == std::string::npos, "an URL is one word");
  const auto again = parse_url(url->str());
  check(again && again->str() == url->str(), "parse(str()) gives the same URL");
}

void ranges(std::string_view text) {
  if (const auto range = parse_content_range(text))
    check(range->bytes.begin < range->bytes.end, "a range has bytes");
  if (const auto map = parse_partial_map(text)) {
    check(map->written.prefix() <= map->size, "nothing is behind the end");
    check(to_text(*map) == text.substr(0, to_text(*map).size()), "the map is its text");
  }
  (void)parse_upload_range(text);
  (void)next_link(text);
  const auto asked = parse_retry_after(text, std::chrono::system_clock::time_point());
  check(!asked || asked->count() >= 0, "nobody waits for the past");
}

}  // namespace

NX_HARNESS(registry_headers) {
  const std::string_view text = text_of(data, size);
  challenges(text);
  urls(text);
  ranges(text);
  const std::string said = registry_message(text);
  check(is_clean(said) && said.size() <= 303, "what a registry says is short and printable");
  if (const auto token = parse_token(text))
    check(is_clean(token->text) && token->text.find(' ') == std::string::npos,
          "a token fits into a header");
  return 0;
}

}  // namespace nexcage::fuzz
