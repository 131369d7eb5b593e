#include "nexcage/registry/client/url.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::registry::client {

namespace {

constexpr std::size_t kMaxUrl = 16u << 10;

std::unexpected<Error> refuse(std::string_view text, std::string_view why) {
  return fail(Errc::RegistryError,
              "URL " + quote(text.substr(0, text.find('?'))) + ": " + std::string(why));
}

/// The path with "." and ".." worked out (RFC 3986, 5.2.4); `path` begins with a slash.
std::string remove_dots(std::string_view path) {
  std::vector<std::string> kept;
  const std::vector<std::string> parts = split(path.substr(1), '/');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    if (parts[i] == ".." && !kept.empty()) kept.pop_back();
    const bool dots = parts[i] == "." || parts[i] == "..";
    if (!dots) kept.push_back(parts[i]);
    if (dots && last) kept.emplace_back();
  }
  return "/" + join(kept, "/");
}

std::string without_default_port(std::string authority, std::string_view scheme) {
  const std::string_view port = scheme == "https" ? ":443" : ":80";
  if (authority.ends_with(port)) authority.resize(authority.size() - port.size());
  return authority;
}

}  // namespace

std::string Url::shown() const {
  return scheme + "://" + authority + target.substr(0, target.find('?'));
}

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kMaxUrl) return refuse(text.substr(0, 80), "is longer than 16 KiB");
  const bool clean = std::ranges::all_of(
      text, [](char c) { return c > 0x20 && c < 0x7f && c != '\\' && c != '"'; });
  if (!clean) return refuse(text, "holds a character that must be escaped");
  text = text.substr(0, text.find('#'));
  const std::size_t colon = text.find("://");
  Url url;
  url.scheme = to_lower(text.substr(0, colon == std::string_view::npos ? 0 : colon));
  if (url.scheme != "http" && url.scheme != "https")
    return refuse(text, "is neither http nor https");
  const std::string_view rest = text.substr(colon + 3);
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  url.authority = without_default_port(to_lower(rest.substr(0, end)), url.scheme);
  if (url.authority.empty() || url.authority.starts_with(':')) return refuse(text, "has no host");
  if (url.authority.find('@') != std::string::npos)
    return refuse("(hidden)", "names a user before the host");
  url.target = rest.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  return url;
}

Result<Url> resolve(const Url& base, std::string_view location) {
  location = trim(location);
  if (location.empty()) return refuse(location, "an empty redirect");
  if (location.starts_with("//")) return parse_url(base.scheme + ":" + std::string(location));
  const std::size_t colon = location.find(':');
  if (colon != std::string_view::npos && colon < location.find_first_of("/?#"))
    return parse_url(location);
  const std::string_view base_path = std::string_view(base.target).substr(0, base.target.find('?'));
  std::string path;
  if (location.starts_with('?'))
    path = base_path;
  else if (!location.starts_with('/'))
    path = base_path.substr(0, base_path.rfind('/') + 1);
  path += location;
  const std::size_t query = std::min(path.find('?'), path.size());
  return parse_url(base.scheme + "://" + base.authority +
                   remove_dots(std::string_view(path).substr(0, query)) + path.substr(query));
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string add_query(std::string url, std::string_view name, std::string_view value) {
  url += url.find('?') == std::string::npos ? '?' : '&';
  return url + std::string(name) + "=" + percent_encode(value);
}

}  // namespace nexcage::registry::client
