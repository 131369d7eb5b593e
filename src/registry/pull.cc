#include "nexcage/registry/pull.h"

#include <algorithm>

#include "nexcage/base/text.h"
#include "nexcage/image/catalog.h"
#include "nexcage/image/lease.h"
#include "nexcage/image/load.h"
#include "nexcage/image/staged.h"
#include "nexcage/registry/plan.h"
#include "nexcage/registry/pull_event.h"
#include "nexcage/registry/repair.h"

namespace nexcage::registry {

namespace {

/// Removals that run at the same time take what the helper found in the store only while no lease
/// names it: one more round nearly always does.
constexpr int kRounds = 4;

/// What the helper answers.
struct Answer {
  bool unchanged = false;
  std::optional<oci::Descriptor> manifest, index;
  std::vector<image::StagedBlob> blobs;
  std::uint64_t wire_bytes = 0;
  std::string endpoint;
};

std::unexpected<Error> nonsense(std::string_view member) {
  return fail(Errc::FileError, "the image helper's answer: no usable " + std::string(member));
}

Result<std::optional<oci::Descriptor>> descriptor_at(const json::Value& value,
                                                     std::string_view name) {
  const json::Value* member = value.find(name);
  if (member == nullptr || member->is_null()) return std::nullopt;
  NX_TRY(oci::Descriptor descriptor, oci::parse_descriptor(*member), "the image helper's answer");
  // Only type, digest and size count: nothing else that a registry says gets into index.json.
  return oci::Descriptor{.media_type = std::move(descriptor.media_type),
                         .digest = std::move(descriptor.digest),
                         .size = descriptor.size,
                         .platform = std::nullopt,
                         .annotations = {},
                         .artifact_type = {},
                         .document = {}};
}

Result<Answer> parse_answer(const json::Value& value) {
  Answer answer;
  const json::Value* unchanged = value.find("unchanged");
  const bool* flag = unchanged != nullptr ? unchanged->if_bool() : nullptr;
  if (flag == nullptr) return nonsense("unchanged");
  answer.unchanged = *flag;
  const json::Value* bytes = value.find("wire_bytes");
  answer.wire_bytes = bytes != nullptr ? bytes->as_u64().value_or(0) : 0;
  const json::Value* endpoint = value.find("endpoint");
  if (endpoint != nullptr && endpoint->if_string() != nullptr)
    answer.endpoint = *endpoint->if_string();
  if (answer.unchanged) return answer;
  NX_TRY(answer.manifest, descriptor_at(value, "manifest"));
  NX_TRY(answer.index, descriptor_at(value, "index"));
  if (!answer.manifest) return nonsense("manifest");
  const json::Value* blobs = value.find("blobs");
  const json::Array* list = blobs != nullptr ? blobs->if_array() : nullptr;
  if (list == nullptr) return nonsense("blobs");
  for (const json::Value& element : *list) {
    const json::Value* digest = element.find("digest");
    const json::Value* size = element.find("size");
    const std::string* text = digest != nullptr ? digest->if_string() : nullptr;
    const auto number = size != nullptr ? size->as_u64() : std::nullopt;
    if (text == nullptr || !number) return nonsense("blob");
    NX_TRY(oci::Digest parsed, oci::Digest::parse(*text));
    const json::Value* diff_id = element.find("diff_id");
    answer.blobs.push_back({.digest = std::move(parsed),
                            .size = *number,
                            .document = diff_id == nullptr || diff_id->is_null()});
  }
  return answer;
}

std::string annotation(const oci::Descriptor& entry, std::string_view key) {
  const auto found = entry.annotations.find(std::string(key));
  return found == entry.annotations.end() ? "" : found->second;
}

/// One image on its way: a full reference, its access, its platform.
class Pull {
 public:
  Pull(const image::Layout& layout, const TransferPlace& place, const TransferWatch& watch,
       oci::Reference name, const std::optional<oci::Platform>& platform)
      : layout_(layout),
        place_(place),
        watch_(watch),
        name_(std::move(name)),
        host_(platform_text(oci::host_platform())),
        platform_(platform.value_or(oci::host_platform())) {}

  Result<Pulled> run(const Access& access);
  /// Fetches what is not in the store, and names nothing.
  Result<> run_again(const Access& access);

 private:
  Result<std::optional<oci::Digest>> known_digest() const;
  Result<Answer> fetch(const Access& access, const std::optional<oci::Digest>& known);
  Result<image::Committed> commit(const Answer& answer) const;
  bool is_host() const { return platform_text(platform_) == host_; }

  const image::Layout& layout_;
  const TransferPlace& place_;
  const TransferWatch& watch_;
  oci::Reference name_;  // in the store
  std::string host_;
  oci::Platform platform_;
  std::optional<image::Lease> lease_;
};

/// The digest that the registry had under this name when the store's image was pulled; nullopt when
/// the store has none, not all of it, or another platform's.
Result<std::optional<oci::Digest>> Pull::known_digest() const {
  NX_TRY(const oci::Index index, layout_.read_index());
  for (const oci::Descriptor& entry : index.manifests) {
    if (image::name_of(entry) != name_) continue;
    const std::string platform = annotation(entry, image::kPlatform);
    if ((platform.empty() ? host_ : platform) != platform_text(platform_)) return std::nullopt;
    if (!image::load_image(layout_, entry)) return std::nullopt;
    const auto pulled = oci::Digest::parse(annotation(entry, image::kPulled));
    return pulled ? *pulled : entry.digest;
  }
  return std::nullopt;
}

Result<Answer> Pull::fetch(const Access& access, const std::optional<oci::Digest>& known) {
  json::Array endpoints;
  for (const Endpoint& endpoint : access.endpoints) endpoints.push_back(to_json(endpoint));
  json::Object platform;
  platform.set("os", platform_.os);
  platform.set("architecture", platform_.architecture);
  platform.set("variant", platform_.variant);
  json::Object request;
  request.set("images", place_.images);
  request.set("reference", name_.str());
  request.set("platform", std::move(platform));
  request.set("endpoints", std::move(endpoints));
  request.set("trust", to_json(access.trust));
  if (known) request.set("if_digest", known->str());
  request.set("settings", to_json(place_.settings));
  if (!place_.tars.empty()) request.set("tars", place_.tars);

  Result<> leased;
  image::HelperStreams streams;
  streams.on_tick = watch_.on_tick;
  streams.on_event = [&](const json::Value& event) {
    const auto told = parse_pull_event(event);
    if (told && told->kind == PullEvent::Kind::resolved) {
      std::vector<oci::Digest> layers;
      for (const PullEvent::Layer& layer : told->layers)
        if (auto digest = oci::Digest::parse(layer.digest)) layers.push_back(*std::move(digest));
      leased = lease_->add(layout_, layers);
    }
    if (watch_.on_event) watch_.on_event(event);
  };
  NX_TRY(const json::Value value,
         image::call_helper(place_.libexec, "pull", std::move(request), streams));
  NX_CHECK(std::move(leased));
  return parse_answer(value);
}

Result<image::Committed> Pull::commit(const Answer& answer) const {
  image::Named named{.manifest = answer.index && is_host() ? *answer.index : *answer.manifest,
                     .names = {name_}};
  const oci::Digest& pulled = answer.index ? answer.index->digest : answer.manifest->digest;
  auto& notes = named.manifest.annotations;
  notes[std::string(image::kOrigin)] = name_.name();
  if (pulled != named.manifest.digest) notes[std::string(image::kPulled)] = pulled.str();
  if (!is_host()) notes[std::string(image::kPlatform)] = platform_text(platform_);
  return image::commit_staged(layout_, answer.blobs, named);
}

Result<Pulled> Pull::run(const Access& access) {
  NX_TRY(lease_, image::Lease::create(layout_));
  std::uint64_t wire_bytes = 0;
  for (int round = 0; round < kRounds; ++round) {
    NX_TRY(const auto known, known_digest());
    NX_TRY(const Answer answer, fetch(access, known));
    wire_bytes += answer.wire_bytes;
    if (answer.unchanged) {
      NX_TRY(const auto still, known_digest());
      if (known && still == known)
        return Pulled{.name = name_,
                      .digest = *known,
                      .unchanged = true,
                      .wire_bytes = wire_bytes,
                      .endpoint = answer.endpoint};
      continue;
    }
    NX_TRY(const image::Committed committed, commit(answer), name_.str());
    if (committed == image::Committed::yes)
      return Pulled{.name = name_,
                    .digest = answer.index ? answer.index->digest : answer.manifest->digest,
                    .unchanged = false,
                    .wire_bytes = wire_bytes,
                    .endpoint = answer.endpoint};
  }
  return fail(Error(Errc::InvalidState, "its blobs are removed as fast as they come in")
                  .hint("pull it again when nobody removes images"));
}

Result<> Pull::run_again(const Access& access) {
  NX_TRY(lease_, image::Lease::create(layout_));
  NX_TRY(const Answer answer, fetch(access, std::nullopt));
  NX_TRY(const image::Committed committed, image::commit_blobs(layout_, answer.blobs));
  if (committed == image::Committed::yes) return {};
  return fail(Errc::InvalidState, "blobs were removed while they were fetched");
}

/// As Docker and Podman do: with a digest the tag says nothing.
oci::Reference name_in_store(oci::Reference reference) {
  if (reference.digest) reference.tag.clear();
  return reference;
}

}  // namespace

Result<Pulled> pull_image(std::string_view what, const PullOptions& options,
                          const TransferPlace& place, const TransferWatch& watch) {
  NX_TRY(const Files files, read_files(Environment::current(), options.choices));
  NX_TRY(const Candidates candidates,
         pull_candidates(files.registries, what, files.registries_path));
  NX_TRY(const image::Layout layout,
         image::Layout::open(place.images, image::Store::IfMissing::create));
  if (watch.say && !candidates.why.empty()) watch.say(candidates.why);
  std::optional<Error> last;
  for (const oci::Reference& reference : candidates.references) {
    const oci::Reference name = name_in_store(reference);
    if (watch.say) watch.say("Trying to pull " + name.str() + "...");
    const auto attempt = [&]() -> Result<Pulled> {
      const std::string doing = name.str();
      NX_TRY(const Plan plan, plan_pull(files, name, options.choices), doing);
      NX_TRY(const Access access, complete(plan), doing);
      return Pull(layout, place, watch, name, options.platform).run(access);
    };
    auto pulled = attempt();
    if (pulled) return pulled;
    Error error = std::move(pulled).error();
    last = last ? std::move(error).also(*std::move(last)) : std::move(error);
  }
  if (last) return fail(*std::move(last));
  return fail(Errc::ImageNotFound, quote(what) + ": nothing to be tried");
}

Result<> refetch_blobs(const image::Layout& layout, const oci::Digest& entry,
                       const std::vector<oci::Digest>& damaged, const Choices& choices,
                       const TransferPlace& place, const TransferWatch& watch) {
  NX_TRY(const oci::Index index, layout.read_index());
  const auto found = std::ranges::find(index.manifests, entry, &oci::Descriptor::digest);
  if (found == index.manifests.end()) return {};  // removed in the meantime
  const std::string origin = annotation(*found, image::kOrigin);
  std::string what = "image " + entry.str();
  if (const auto name = image::name_of(*found)) what = "image " + name->str();
  if (origin.empty())
    return fail(Error(Errc::Unsupported, what + " was not pulled from a registry")
                    .hint("import or load it again"));
  NX_TRY(const oci::Reference reference, oci::Reference::parse(origin + "@" + entry.str()), what);
  NX_TRY(const Files files, read_files(Environment::current(), choices), what);
  NX_TRY(const Plan plan, plan_pull(files, reference, choices), what);
  NX_TRY(const Access access, complete(plan), what);
  // The helper takes a blob of the right size for the right one.
  for (const oci::Digest& blob : damaged)
    NX_CHECK(sys::remove_file(layout.fd(), blob.blob_path()), what);
  std::optional<oci::Platform> platform;
  if (const std::string text = annotation(*found, image::kPlatform); !text.empty()) {
    NX_TRY(platform, parse_platform(text), what);
  }
  NX_CHECK(Pull(layout, place, watch, reference, platform).run_again(access), what);
  return {};
}

Result<std::optional<oci::Reference>> find_local_name(std::string_view what,
                                                      const image::Store& store) {
  NX_TRY(const Files files, read_files(Environment::current(), {}));
  NX_TRY(const auto names, local_candidates(files.registries, what));
  for (const oci::Reference& name : names)
    if (store.resolve(name.str())) return name;
  return std::nullopt;
}

Result<oci::Platform> parse_platform(std::string_view text) {
  const std::vector<std::string> parts = split(text, '/');
  bool good = parts.size() == 2 || parts.size() == 3;
  for (const std::string& part : parts)
    good = good && !part.empty() &&
           part.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") == std::string::npos;
  if (!good)
    return fail(Errc::InvalidSpec,
                "platform " + quote(text) + ": expected OS/ARCHITECTURE[/VARIANT]");
  return oci::Platform{.architecture = parts[1],
                       .os = parts[0],
                       .variant = parts.size() == 3 ? parts[2] : "",
                       .os_version = {},
                       .os_features = {}};
}

json::Value to_json(const TransferSettings& settings) {
  json::Object out;
  if (settings.parallel_layers > 0) out.set("parallel_blobs", settings.parallel_layers);
  if (settings.connections_per_layer > 0)
    out.set("connections_per_blob", settings.connections_per_layer);
  if (settings.retries >= 0) out.set("retries", settings.retries);
  if (settings.stall_seconds > 0) out.set("stall_seconds", settings.stall_seconds);
  return out;
}

}  // namespace nexcage::registry
