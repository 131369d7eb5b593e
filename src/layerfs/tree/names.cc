#include "nexcage/layerfs/tree/names.h"

#include <climits>
#include <utility>

#include "nexcage/base/text.h"

namespace nexcage::layerfs::tree {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";

}  // namespace

std::string EntryName::path() const {
  std::string path;
  for (const std::string& part : parent) path = join_path(path, part);
  return join_path(path, base);
}

std::vector<std::string> components(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    const std::string_view part = path.substr(0, end);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    if (end == std::string_view::npos) break;
    path.remove_prefix(end + 1);
  }
  return parts;
}

Result<EntryName> parse_entry_name(std::string_view name) {
  if (name.size() > PATH_MAX)
    return fail(Errc::InvalidImage, "name longer than 4096 bytes: " + quote(name));
  std::vector<std::string> clean;
  for (std::string& part : components(name)) {
    if (part == "..") {
      if (!clean.empty()) clean.pop_back();
      continue;
    }
    if (part.size() > NAME_MAX)
      return fail(Errc::InvalidImage, "path component longer than 255 bytes: " + quote(part));
    clean.push_back(std::move(part));
  }
  EntryName result;
  if (clean.empty()) return result;
  result.base = std::move(clean.back());
  clean.pop_back();
  result.parent = std::move(clean);
  return result;
}

Result<Whiteout> parse_whiteout(std::string_view base) {
  if (!base.starts_with(kWhiteoutPrefix)) return Whiteout{};
  if (base == kOpaqueName) return Whiteout{Whiteout::Kind::opaque, {}};
  const std::string_view name = base.substr(kWhiteoutPrefix.size());
  if (name.empty() || name == "." || name == "..")
    return fail(Errc::InvalidImage, "whiteout of no file: " + quote(base));
  if (name.starts_with(kWhiteoutPrefix)) return Whiteout{Whiteout::Kind::ignored, {}};
  return Whiteout{Whiteout::Kind::name, std::string(name)};
}

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty()) path += '/';
  path += name;
  return path;
}

std::string parent_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(path.substr(0, slash == std::string_view::npos ? 0 : slash));
}

}  // namespace nexcage::layerfs::tree
