#include "nexcage/image/catalog.h"

#include <algorithm>

#include "nexcage/base/text.h"

namespace nexcage::image {

namespace {

constexpr std::size_t kMinPrefix = 4;
constexpr std::size_t kSha256Digits = 64;

const std::string* annotation(const oci::Descriptor& descriptor, std::string_view key) {
  auto found = descriptor.annotations.find(std::string(key));
  return found == descriptor.annotations.end() ? nullptr : &found->second;
}

oci::Descriptor bare(const oci::Descriptor& from) {
  oci::Descriptor out = from;
  out.annotations.erase(std::string(kRefName));
  out.annotations.erase(std::string(kContainerdName));
  out.document = {};
  return out;
}

bool is_named(const oci::Descriptor& descriptor, const oci::Reference& name) {
  return name_of(descriptor) == name;
}

bool is_hex_prefix(std::string_view what) {
  return what.size() >= kMinPrefix && what.size() <= kSha256Digits &&
         what.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Error not_found(std::string_view what) {
  return Error(Errc::ImageNotFound, "image " + quote(what) + ": is not in the store")
      .hint("see `nexcage image list`; bring it in with `nexcage image import SOURCE`");
}

/// What distinguishes candidates for a match: the manifest, not the number of its names.
std::vector<oci::Descriptor> distinct(std::vector<oci::Descriptor> found) {
  std::ranges::sort(found, {}, &oci::Descriptor::digest);
  const auto rest = std::ranges::unique(found, {}, &oci::Descriptor::digest);
  found.erase(rest.begin(), rest.end());
  return found;
}

template <class Predicate>
Result<std::optional<Match>> match_ids(const oci::Index& index, std::string_view what,
                                       const IdOf& id_of, Predicate matches) {
  std::vector<oci::Descriptor> found;
  for (const oci::Descriptor& manifest : index.manifests) {
    auto id = matches(manifest.digest) ? std::nullopt : id_of(manifest);
    if (matches(manifest.digest) || (id && matches(*id))) found.push_back(manifest);
  }
  found = distinct(std::move(found));
  if (found.empty()) return std::nullopt;
  if (found.size() > 1)
    return fail(Error(Errc::ImageNotFound, "image " + quote(what) + ": several images begin so")
                    .hint("give more digits or a name"));
  return Match{.descriptor = found.front(), .name = std::nullopt};
}

std::optional<Match> match_name(const oci::Index& index, const oci::Reference& name) {
  for (const oci::Descriptor& manifest : index.manifests) {
    auto own = name_of(manifest);
    if (!own || own->name() != name.name()) continue;
    bool tag_fits = name.tag.empty() || own->tag == name.tag;
    bool digest_fits =
        !name.digest || manifest.digest == *name.digest || own->digest == name.digest;
    if (name.digest ? digest_fits : tag_fits) return Match{.descriptor = manifest, .name = own};
  }
  return std::nullopt;
}

}  // namespace

std::optional<oci::Reference> name_of(const oci::Descriptor& descriptor) {
  const std::string* text = annotation(descriptor, kContainerdName);
  if (text == nullptr) text = annotation(descriptor, kRefName);
  if (text == nullptr) return std::nullopt;
  auto name = oci::Reference::parse(*text);
  if (!name) return std::nullopt;
  return *std::move(name);
}

std::vector<oci::Reference> names_of(const oci::Index& index, const oci::Digest& manifest) {
  std::vector<oci::Reference> names;
  for (const oci::Descriptor& descriptor : index.manifests) {
    auto name = descriptor.digest == manifest ? name_of(descriptor) : std::nullopt;
    if (name) names.push_back(*std::move(name));
  }
  return names;
}

bool has_manifest(const oci::Index& index, const oci::Digest& manifest) {
  return std::ranges::any_of(index.manifests,
                             [&](const oci::Descriptor& d) { return d.digest == manifest; });
}

oci::Index with_name(oci::Index index, const oci::Reference& name,
                     const oci::Descriptor& manifest) {
  std::vector<oci::Descriptor> replaced;
  for (const oci::Descriptor& d : index.manifests)
    if (is_named(d, name)) replaced.push_back(d);
  std::erase_if(index.manifests, [&](const oci::Descriptor& d) {
    bool nameless_twin = d.digest == manifest.digest && !name_of(d);
    return is_named(d, name) || nameless_twin;
  });
  for (const oci::Descriptor& old : replaced)
    if (old.digest != manifest.digest && !has_manifest(index, old.digest))
      index.manifests.push_back(bare(old));
  oci::Descriptor named = bare(manifest);
  named.annotations[std::string(kRefName)] = name.str();
  named.annotations[std::string(kContainerdName)] = name.str();
  index.manifests.push_back(std::move(named));
  return index;
}

oci::Index without_name(oci::Index index, const oci::Reference& name) {
  std::erase_if(index.manifests, [&](const oci::Descriptor& d) { return is_named(d, name); });
  return index;
}

oci::Index without_manifest(oci::Index index, const oci::Digest& manifest) {
  std::erase_if(index.manifests, [&](const oci::Descriptor& d) { return d.digest == manifest; });
  return index;
}

Result<Match> find_image(const oci::Index& index, std::string_view what, const IdOf& id_of) {
  if (auto digest = oci::Digest::parse(what)) {
    auto equal = [&](const oci::Digest& other) { return other == *digest; };
    NX_TRY(auto match, match_ids(index, what, id_of, equal));
    if (match) return *std::move(match);
    return fail(not_found(what));
  }
  auto name = oci::Reference::parse(what);
  if (name) {
    if (auto match = match_name(index, *name)) return *std::move(match);
    auto local = oci::Reference::parse("localhost/" + std::string(what));
    bool is_short = name->registry == "docker.io" && !what.starts_with("docker.io/");
    auto match = is_short && local ? match_name(index, *local) : std::nullopt;
    if (match) return *std::move(match);
  }
  if (is_hex_prefix(what)) {
    auto begins = [&](const oci::Digest& other) { return other.hex().starts_with(what); };
    NX_TRY(auto match, match_ids(index, what, id_of, begins));
    if (match) return *std::move(match);
    return fail(not_found(what));
  }
  if (!name) return fail(std::move(name).error());
  return fail(not_found(what));
}

}  // namespace nexcage::image
