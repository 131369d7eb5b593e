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
      .hint("see `nexcage image list`; bring it in with `nexcage pull IMAGE`");
}

/// By digest or ID. Entries that are the same image for this machine are one: an index and its
/// manifest may both be listed.
template <class Predicate>
Result<std::optional<Match>> match_ids(const oci::Index& index, std::string_view what,
                                       const IdentityOf& identity_of, Predicate matches) {
  std::optional<Match> found;
  std::optional<oci::Digest> manifest;  // of `found`
  for (const oci::Descriptor& entry : index.manifests) {
    const bool direct = matches(entry.digest);
    auto identity = identity_of(entry);
    if (!direct && !(identity && (matches(identity->manifest) || matches(identity->config))))
      continue;
    const oci::Digest own = identity ? identity->manifest : entry.digest;
    if (manifest && *manifest != own)
      return fail(Error(Errc::ImageNotFound, "image " + quote(what) + ": several images begin so")
                      .hint("give more digits or a name"));
    if (!found || (direct && !matches(found->descriptor.digest)))
      found = Match{.descriptor = entry, .name = std::nullopt};
    manifest = own;
  }
  return found;
}

std::optional<Match> match_name(const oci::Index& index, const oci::Reference& name,
                                const IdentityOf& identity_of) {
  for (const oci::Descriptor& entry : index.manifests) {
    auto own = name_of(entry);
    if (!own || own->name() != name.name()) continue;
    Match match{.descriptor = entry, .name = own};
    if (!name.digest && (name.tag.empty() || own->tag == name.tag)) return match;
    if (!name.digest) continue;
    if (entry.digest == *name.digest || own->digest == name.digest) return match;
    auto identity = identity_of(entry);
    if (identity && identity->manifest == *name.digest) return match;
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

oci::Index with_manifest(oci::Index index, const oci::Descriptor& manifest) {
  if (!has_manifest(index, manifest.digest)) index.manifests.push_back(bare(manifest));
  return index;
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

Result<Match> find_image(const oci::Index& index, std::string_view what,
                         const IdentityOf& identity_of) {
  if (auto digest = oci::Digest::parse(what)) {
    auto equal = [&](const oci::Digest& other) { return other == *digest; };
    NX_TRY(auto match, match_ids(index, what, identity_of, equal));
    if (match) return *std::move(match);
    return fail(not_found(what));
  }
  auto name = oci::Reference::parse(what);
  if (name) {
    if (auto match = match_name(index, *name, identity_of)) return *std::move(match);
    auto local = oci::Reference::parse("localhost/" + std::string(what));
    bool is_short = name->registry == "docker.io" && !what.starts_with("docker.io/");
    auto match = is_short && local ? match_name(index, *local, identity_of) : std::nullopt;
    if (match) return *std::move(match);
  }
  if (is_hex_prefix(what)) {
    auto begins = [&](const oci::Digest& other) { return other.hex().starts_with(what); };
    NX_TRY(auto match, match_ids(index, what, identity_of, begins));
    if (match) return *std::move(match);
    return fail(not_found(what));
  }
  if (!name) return fail(std::move(name).error());
  return fail(not_found(what));
}

}  // namespace nexcage::image
