#include "nexcage/registry/client/listing.h"

#include <set>

#include "nexcage/base/text.h"
#include "nexcage/registry/client/documents.h"

namespace nexcage::registry::client {

namespace {

constexpr std::size_t kMaxPages = 1000;
constexpr std::size_t kMaxTags = 1'000'000;
constexpr std::size_t kMaxTag = 128;
constexpr std::chrono::seconds kPageLimit{120};

struct Page {
  json::Value value;
  std::optional<std::string> next;
};

/// nullopt for 404, when the caller says that this is an answer.
enum class NotFound : std::uint8_t { is_an_error, is_an_answer };
Result<std::optional<Page>> get_page(Remote& remote, const Ask& ask, NotFound not_found) {
  TextSink sink(kMaxDocument, "the list");
  NX_TRY(Finished done, remote.ask(ask, &sink));
  if (not_found == NotFound::is_an_answer && done.response.status == 404) return std::nullopt;
  if (!done.response.ok()) return fail(remote.refusal(done, ask.what));
  auto value = json::parse(sink.text(), {.max_bytes = kMaxDocument});
  if (!value)
    return fail(remote.describe(std::move(value).error().as(Errc::InvalidImage), ask.what));
  return Page{.value = *std::move(value), .next = next_link(done.response.header("link"))};
}

Ask page_ask(Remote& remote, std::string target, std::string what) {
  Ask ask;
  ask.target = std::move(target);
  ask.scope = remote.scope("pull");
  ask.what = std::move(what);
  ask.limit = kPageLimit;
  return ask;
}

/// Goes from page to page until `take` has seen the last.
template <class Take>
Result<bool> each_page(Remote& remote, Ask ask, NotFound not_found, Take take) {
  std::set<std::string> seen;
  while (seen.insert(ask.target).second && seen.size() <= kMaxPages) {
    NX_TRY(auto page, get_page(remote, ask, not_found));
    if (!page) return false;
    NX_CHECK(take(page->value), ask.what);
    if (!page->next) return true;
    NX_TRY(const Url here, resolve(remote.url(), ask.target));
    NX_TRY(const Url next, resolve(here, *page->next), "next page");
    if (!next.same_server(remote.url()))
      return fail(remote.describe(Error(Errc::RegistryError, "the next page is on another host"),
                                  ask.what));
    ask.target = next.target;
  }
  return fail(remote.describe(
      Error(Errc::RegistryError, "the pages go in a circle, or on for ever"), ask.what));
}

Result<> add_tags(const json::Value& page, std::vector<std::string>& tags) {
  const json::Value* member = page.find("tags");
  if (member != nullptr && member->is_null()) return {};
  const json::Array* list = member != nullptr ? member->if_array() : nullptr;
  if (list == nullptr) return fail(Errc::InvalidImage, "the answer has no list of tags");
  for (const json::Value& value : *list) {
    const std::string* tag = value.if_string();
    if (tag == nullptr || tag->size() > kMaxTag || !is_printable(*tag))
      return fail(Errc::InvalidImage, "the answer lists a tag that is none");
    tags.push_back(*tag);
  }
  if (tags.size() > kMaxTags) return fail(Errc::InvalidImage, "more than a million tags");
  return {};
}

Result<> add_referrers(const json::Value& page, std::string_view artifact_type,
                       std::vector<oci::Descriptor>& out) {
  NX_TRY(oci::Index index, oci::parse_index(page));
  for (oci::Descriptor& descriptor : index.manifests)
    if (artifact_type.empty() || descriptor.artifact_type == artifact_type)
      out.push_back(std::move(descriptor));
  return {};
}

}  // namespace

std::optional<std::string> next_link(std::string_view header) {
  while (!header.empty()) {
    const std::size_t open = header.find('<');
    const std::size_t close = header.find('>', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) return std::nullopt;
    std::string target(header.substr(open + 1, close - open - 1));
    header.remove_prefix(close + 1);
    const std::size_t end = std::min(header.find('<'), header.size());
    const std::string parameters = to_lower(header.substr(0, end));
    if (parameters.find("rel=next") != std::string::npos ||
        parameters.find("rel=\"next\"") != std::string::npos)
      return target;
    header.remove_prefix(end);
  }
  return std::nullopt;
}

Result<std::vector<std::string>> list_tags(Remote& remote) {
  std::vector<std::string> tags;
  NX_CHECK(each_page(remote, page_ask(remote, remote.path("tags/list?n=1000"), "list of tags"),
                     NotFound::is_an_error,
                     [&](const json::Value& page) { return add_tags(page, tags); }));
  return tags;
}

std::string referrers_tag(const oci::Digest& subject) {
  // Tags have at most 128 characters; longer digests are cut (distribution-spec, "Referrers Tag
  // Schema").
  return std::string(subject.algorithm().substr(0, 32)) + "-" +
         std::string(subject.hex().substr(0, 64));
}

Result<std::vector<oci::Descriptor>> list_referrers(Remote& remote, const oci::Digest& subject,
                                                    std::string_view artifact_type) {
  std::vector<oci::Descriptor> out;
  std::string target = remote.path("referrers/" + subject.str());
  if (!artifact_type.empty()) target = add_query(std::move(target), "artifactType", artifact_type);
  const auto take = [&](const json::Value& page) {
    return add_referrers(page, artifact_type, out);
  };
  NX_TRY(const bool known,
         each_page(remote, page_ask(remote, std::move(target), "referrers of " + subject.str()),
                   NotFound::is_an_answer, take));
  if (known) return out;
  const std::string tag = referrers_tag(subject);
  Ask ask = page_ask(remote, remote.path("manifests/" + tag), "referrers tag " + tag);
  ask.headers = {"Accept: " + std::string(oci::media::kIndex)};
  NX_CHECK(each_page(remote, std::move(ask), NotFound::is_an_answer, take));
  return out;
}

}  // namespace nexcage::registry::client
