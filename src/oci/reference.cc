#include "nexcage/oci/reference.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::oci {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxTag = 128;
constexpr std::string_view kDockerHub = "docker.io";

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alnum(char c) { return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c); }
bool is_word(char c) { return is_alnum(c) || c == '_'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// A label of a host name: letters, digits and inner dashes.
bool is_label(std::string_view label) {
  return !label.empty() && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_host(std::string_view host) {
  if (host.starts_with('[')) {
    return host.size() > 2 && host.ends_with(']') &&
           std::ranges::all_of(host.substr(1, host.size() - 2),
                               [](char c) { return is_hex(c) || c == ':'; });
  }
  return std::ranges::all_of(split(host, '.'), is_label);
}

bool is_registry(std::string_view registry) {
  // The colon of a port stands behind the bracket of an IPv6 address.
  const std::size_t bracket = registry.rfind(']');
  const std::size_t colon = registry.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return is_host(registry);
  const std::string_view port = registry.substr(colon + 1);
  return is_host(registry.substr(0, colon)) && !port.empty() && std::ranges::all_of(port, is_digit);
}

/// [a-z0-9]+, then separators ('.', '_', "__" or dashes) each followed by [a-z0-9]+.
bool is_path_component(std::string_view text) {
  const auto plain = [](char c) { return is_lower(c) || is_digit(c); };
  std::size_t at = 0;
  while (true) {
    const std::size_t start = at;
    while (at < text.size() && plain(text[at])) ++at;
    if (at == start) return false;
    if (at == text.size()) return true;
    const std::size_t separator = at;
    while (at < text.size() && text[at] == text[separator]) ++at;
    const std::size_t length = at - separator;
    const char c = text[separator];
    const bool good = c == '-' || (c == '.' && length == 1) || (c == '_' && length <= 2);
    if (!good) return false;
  }
}

bool is_tag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTag && is_word(tag.front()) &&
         std::ranges::all_of(tag, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool looks_like_image_id(std::string_view name) {
  return name.size() == 64 &&
         std::ranges::all_of(name, [](char c) { return is_hex(c) && !(c >= 'A' && c <= 'F'); });
}

/// Docker's rule: what stands before the first slash is a registry if it could not be a path
/// component ('.', ':' or upper case in it) or is "localhost".
bool first_is_registry(std::string_view first) {
  const bool upper = std::ranges::any_of(first, [](char c) { return c >= 'A' && c <= 'Z'; });
  return first == "localhost" || upper || first.find_first_of(".:") != std::string_view::npos;
}

std::unexpected<Error> bad(std::string_view text, const std::string& why) {
  return fail(Error(Errc::InvalidSpec, "image reference " + quote(text) + ": " + why)
                  .hint("write [registry/]repository[:tag][@digest], for example "
                        "docker.io/library/busybox:1.36"));
}

/// Splits "[registry/]repository" and completes it as Docker does.
void normalise(std::string_view name, Reference& out) {
  if (names_registry(name)) {
    const std::size_t slash = name.find('/');
    out.registry = name.substr(0, slash);
    out.repository = name.substr(slash + 1);
  } else {
    out.registry = kDockerHub;
    out.repository = name;
  }
  if (out.registry == "index.docker.io") out.registry = kDockerHub;
  if (out.registry == kDockerHub && out.repository.find('/') == std::string::npos)
    out.repository.insert(0, "library/");
}

}  // namespace

bool names_registry(std::string_view reference) {
  const std::size_t slash = reference.find('/');
  return slash != std::string_view::npos && first_is_registry(reference.substr(0, slash));
}

bool has_tag_or_digest(std::string_view reference) {
  const std::size_t slash = reference.rfind('/');
  const std::string_view last =
      slash == std::string_view::npos ? reference : reference.substr(slash + 1);
  return last.find_first_of(":@") != std::string_view::npos;
}

Result<Reference> Reference::parse(std::string_view text) {
  if (text.empty()) return bad(text, "is empty");
  Reference out;
  std::string_view name = text;
  if (const std::size_t at = name.find('@'); at != std::string_view::npos) {
    auto digest = Digest::parse(name.substr(at + 1));
    if (!digest) return bad(text, digest.error().message());
    out.digest = *std::move(digest);
    name = name.substr(0, at);
  }
  const std::size_t slash = name.rfind('/');
  const std::size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    out.tag = name.substr(colon + 1);
    if (!is_tag(out.tag))
      return bad(text, "tag " + quote(out.tag) + " is not 1 to 128 of [A-Za-z0-9_.-]");
    name = name.substr(0, colon);
  } else if (!out.digest) {
    out.tag = "latest";
  }
  if (looks_like_image_id(name)) return bad(text, "64 hex digits are an image id, not a name");

  normalise(name, out);
  if (!is_registry(out.registry)) return bad(text, "registry " + quote(out.registry));
  for (const std::string& component : split(out.repository, '/'))
    if (!is_path_component(component))
      return bad(text, "repository component " + quote(component) +
                           " is not lower-case letters and digits with single separators");
  if (out.name().size() > kMaxName) return bad(text, "name has more than 255 characters");
  return out;
}

std::string Reference::str() const {
  std::string text = name();
  if (!tag.empty()) text += ":" + tag;
  if (digest) text += "@" + digest->str();
  return text;
}

}  // namespace nexcage::oci
