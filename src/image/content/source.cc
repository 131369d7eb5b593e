#include "nexcage/image/content/source.h"

#include <array>

#include "nexcage/base/text.h"

namespace nexcage::image::content {

namespace {

/// Lower-case letters and digits, everything else a dash, no dashes at the ends or in a row.
std::string fit_component(std::string_view text) {
  std::string out;
  for (char c : to_lower(text)) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain) {
      out += c;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (out.ends_with('-')) out.pop_back();
  return out.empty() ? "image" : out;
}

std::string_view file_name(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  auto slash = path.rfind('/');
  path = slash == std::string_view::npos ? path : path.substr(slash + 1);
  constexpr std::array<std::string_view, 5> kSuffixes = {".gz", ".zst", ".tgz", ".tar", ".oci"};
  for (std::string_view suffix : kSuffixes)
    if (path.ends_with(suffix)) path.remove_suffix(suffix.size());
  return path;
}

}  // namespace

oci::Reference fallback_name(const std::string& path, const std::string& tag) {
  std::string repository = "localhost/" + fit_component(file_name(path)).substr(0, 200);
  auto tagged = oci::Reference::parse(repository + ":" + (tag.empty() ? "latest" : tag));
  if (tagged) return *std::move(tagged);
  // The tag was none of the grammar; the repository has been made fit, so this parses.
  return oci::Reference{.registry = "localhost",
                        .repository = fit_component(file_name(path)).substr(0, 200),
                        .tag = "latest",
                        .digest = std::nullopt};
}

oci::Descriptor make_descriptor(std::string_view media_type, oci::Digest digest,
                                std::uint64_t size) {
  return oci::Descriptor{.media_type = std::string(media_type),
                         .digest = std::move(digest),
                         .size = size,
                         .platform = std::nullopt,
                         .annotations = {},
                         .artifact_type = {},
                         .document = {}};
}

SourceDocument make_document(std::string_view media_type, std::string text) {
  auto descriptor = make_descriptor(media_type, sha256_of(text), text.size());
  return {.text = std::move(text), .descriptor = std::move(descriptor)};
}

Result<SourceImage> read_source(const ImportRequest& request, const Layout& layout) {
  const ImportSource& source = request.source;
  switch (source.kind) {
    case SourceKind::oci: {
      NX_TRY(auto files, open_directory(source.path));
      return read_oci_source(files, source.reference);
    }
    case SourceKind::oci_archive: {
      NX_TRY(auto files, open_archive(source.path, layout));
      return read_oci_source(files, source.reference);
    }
    case SourceKind::docker_archive: {
      NX_TRY(auto files, open_archive(source.path, layout));
      return read_docker_source(files, source.reference);
    }
    case SourceKind::rootfs:
      return read_rootfs_source(source.path);
  }
  return fail(Errc::Unsupported, "source of an unknown kind");
}

Result<std::vector<SourceImage>> read_all_images(const std::shared_ptr<Files>& files) {
  if (files->has("oci-layout") && files->has("index.json")) return read_all_oci(files);
  if (files->has("manifest.json")) return read_all_docker(files);
  return fail(Error(Errc::InvalidImage, "neither index.json nor manifest.json is in the archive")
                  .hint("for the tar of a root file system there is "
                        "`nexcage image import rootfs:FILE`"));
}

}  // namespace nexcage::image::content
