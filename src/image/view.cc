#include "nexcage/image/view.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "nexcage/base/log.h"
#include "nexcage/image/catalog.h"
#include "nexcage/image/load.h"

namespace nexcage::image {

namespace {

constexpr std::string_view kManifestLink = "manifest.json";

std::string_view suffix_of(oci::Compression compression) {
  switch (compression) {
    case oci::Compression::none:
      return "";
    case oci::Compression::gzip:
      return ".gz";
    case oci::Compression::zstd:
      return ".zst";
  }
  return "";
}

/// From a link in PATH (n components) up to the store and down to the blob.
std::string link_target(const std::string& path, const oci::Digest& blob) {
  std::string up = "../";
  for (char c : path)
    if (c == '/') up += "../";
  return up + blob.blob_path();
}

Result<> make_link(int dir, const std::string& name, const std::string& target) {
  if (::symlinkat(target.c_str(), dir, name.c_str()) != 0) return fail_errno("link " + name);
  return {};
}

/// Fills a temporary directory with the links of one image.
Result<Temp> build_view(const Layout& layout, const std::string& path, const Image& image) {
  NX_TRY(Temp dir, Temp::create(layout.tmp_fd(), "view", Temp::Kind::directory));
  NX_CHECK(make_link(dir.fd(), std::string(kManifestLink),
                     link_target(path, image.manifest_descriptor.digest)));
  NX_CHECK(make_link(dir.fd(), "config.json", link_target(path, image.manifest.config.digest)));
  if (::mkdirat(dir.fd(), "layers", 0755) != 0) return fail_errno("create layers");
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    std::string name = "layers/" + std::to_string(i) + ".tar" +
                       std::string(suffix_of(image.layers[i].compression));
    NX_CHECK(make_link(dir.fd(), name, "../" + link_target(path, image.layers[i].blob.digest)));
  }
  return dir;
}

/// mkdir -p of all but the last component; names come from the reference grammar: no "..".
Result<> make_parents(int root, const std::string& path) {
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    std::string parent = path.substr(0, slash);
    if (::mkdirat(root, parent.c_str(), 0755) != 0 && errno != EEXIST)
      return fail_errno("create " + parent);
  }
  return {};
}

/// Puts the built directory at `path`; what was there goes to the temporary directory and away.
Result<> place_view(const Layout& layout, const std::string& path, Temp built) {
  NX_CHECK(make_parents(layout.fd(), path));
  const char* from = built.name().c_str();
  if (::renameat2(layout.tmp_fd(), from, layout.fd(), path.c_str(), RENAME_NOREPLACE) == 0) {
    built.forget();
    return {};
  }
  if (errno != EEXIST) return fail_errno("place the view " + path);
  // After the exchange the old directory bears the temporary name and goes with `built`.
  if (::renameat2(layout.tmp_fd(), from, layout.fd(), path.c_str(), RENAME_EXCHANGE) != 0)
    return fail_errno("replace the view " + path);
  return {};
}

/// The target of DIR/manifest.json when DIR is a view (and not only a directory of the way).
std::optional<std::string> shown_manifest(int root, const std::string& path) {
  auto target = sys::read_link(root, path + "/" + std::string(kManifestLink));
  if (!target || target->find("../blobs/") == std::string::npos) return std::nullopt;
  return *target;
}

/// Collects the views below `path` ("" is the store); their own directories are not searched.
Result<> find_views(int root, const std::string& path, std::map<std::string, std::string>& found) {
  NX_TRY(UniqueFd dir,
         sys::open_at(root, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  NX_TRY(auto names, sys::list_dir(dir.get()));
  for (const std::string& name : names) {
    if (path.empty() && (name.starts_with('.') || name == "blobs" || name == "lost+found"))
      continue;
    NX_TRY(auto entry, sys::stat_at(dir.get(), name));
    if (!entry || !S_ISDIR(entry->st_mode)) continue;
    std::string below = path.empty() ? name : path + "/" + name;
    if (auto target = shown_manifest(root, below)) {
      found.emplace(below, *std::move(target));
    } else {
      NX_CHECK(find_views(root, below, found));
    }
  }
  return {};
}

/// Moves the view out of sight in one step, then removes it and the directories it leaves empty.
Result<> remove_view(const Layout& layout, const std::string& path) {
  NX_TRY(Temp grave, Temp::create(layout.tmp_fd(), "view", Temp::Kind::directory));
  if (::renameat2(layout.fd(), path.c_str(), layout.tmp_fd(), grave.name().c_str(),
                  RENAME_EXCHANGE) != 0)
    return fail_errno("remove the view " + path);
  // The empty directory that took its place goes, and its parents as far as they are empty.
  for (std::string dir = path; ::unlinkat(layout.fd(), dir.c_str(), AT_REMOVEDIR) == 0;) {
    auto slash = dir.rfind('/');
    if (slash == std::string::npos) break;
    dir.resize(slash);
  }
  return {};
}

Result<> make_view(const Layout& layout, const std::string& path, const oci::Descriptor& manifest) {
  auto image = load_image(layout, manifest);
  if (!image) {
    log::debug("no view of " + path + ": " + image.error().message());
    return {};
  }
  NX_TRY(Temp built, build_view(layout, path, *image));
  return place_view(layout, path, std::move(built));
}

}  // namespace

std::map<std::string, oci::Descriptor> plan_views(const oci::Index& index) {
  std::map<std::string, oci::Descriptor> views;
  for (const oci::Descriptor& descriptor : index.manifests) {
    auto name = name_of(descriptor);
    if (name && !name->tag.empty())
      views.insert_or_assign(name->name() + "/" + name->tag, descriptor);
  }
  // In a sorted map what lies below "p/" follows at lower_bound("p/").
  std::erase_if(views, [&views](const auto& view) {
    std::string below = view.first + "/";
    auto next = views.lower_bound(below);
    return next != views.end() && next->first.starts_with(below);
  });
  return views;
}

Result<> sync_views(const Layout& layout, const oci::Index& index) {
  auto wanted = plan_views(index);
  std::map<std::string, std::string> present;
  NX_CHECK(find_views(layout.fd(), "", present));
  for (const auto& [path, target] : present)
    if (!wanted.contains(path)) NX_CHECK(remove_view(layout, path));
  for (const auto& [path, manifest] : wanted) {
    auto shown = present.find(path);
    bool current = shown != present.end() && shown->second == link_target(path, manifest.digest);
    if (!current) NX_CHECK(make_view(layout, path, manifest), "name view");
  }
  return {};
}

}  // namespace nexcage::image
