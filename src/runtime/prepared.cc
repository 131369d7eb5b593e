#include "nexcage/runtime/prepared.h"

#include <fcntl.h>

#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/runtime/guests.h"
#include "nexcage/runtime/kept_request.h"
#include "nexcage/runtime/kept_source.h"
#include "nexcage/runtime/paths.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

json::Value request_json(const Resolved& resolved) {
  json::Object request;
  request.set("id", resolved.request->id);
  request.set("backend", resolved.backend);
  request.set("image", resolved.image_name);
  request.set("digest", resolved.verified->manifest_descriptor.digest.str());
  request.set("user", resolved.user);
  request.set("storage", storage::to_json(resolved.storage));
  json::Array volumes;
  for (const std::string& volume : resolved.volumes) volumes.emplace_back(volume);
  request.set("volumes", std::move(volumes));
  request.set("network", network::to_json(resolved.network_options));
  request.set("options", options_to_json(*resolved.request));
  if (resolved.image != nullptr) request.set("source", to_json(*resolved.image));
  return request;
}

Result<std::string> text_of(const json::Value& request, std::string_view name) {
  const json::Value* member = request.find(name);
  if (member != nullptr)
    if (const std::string* text = member->if_string()) return *text;
  return fail(Errc::InvalidJson, "/" + std::string(name) + ": is no string");
}

Result<std::vector<std::string>> volumes_of(const json::Value& request) {
  const json::Value* member = request.find("volumes");
  const json::Array* list = member != nullptr ? member->if_array() : nullptr;
  if (list == nullptr) return fail(Errc::InvalidJson, "/volumes: is no array");
  std::vector<std::string> volumes;
  for (const json::Value& item : *list)
    if (const std::string* text = item.if_string()) volumes.push_back(*text);
  return volumes;
}

Result<json::Value> read_document(const std::string& file) {
  NX_TRY(std::string text, sys::read_file(AT_FDCWD, file, json::Limits{}.max_bytes));
  return json::parse(text);
}

Result<> restore(Resolved& resolved, const json::Value& request, const Settings& settings) {
  NX_TRY(std::string id, text_of(request, "id"));
  if (id != resolved.request->id)
    return fail(Errc::InvalidSpec, "the bundle was prepared for " + quote(id));
  NX_TRY(resolved.backend, text_of(request, "backend"));
  NX_TRY(resolved.image_name, text_of(request, "image"));
  NX_TRY(resolved.user, text_of(request, "user"));
  NX_TRY(resolved.volumes, volumes_of(request));
  const json::Value* network = request.find("network");
  if (network == nullptr) return fail(Errc::InvalidJson, "/network: is missing");
  NX_TRY(resolved.network_options, network::parse_options_json(*network));
  NX_TRY(resolved.network, network::parse_options(resolved.network_options, settings.network));
  const json::Value* storage = request.find("storage");
  if (storage == nullptr) return fail(Errc::InvalidJson, "/storage: is missing");
  NX_TRY(resolved.storage, storage::choice_from_json(*storage));
  NX_TRY(std::string digest, text_of(request, "digest"));
  NX_TRY(resolved.store, image::Store::open(settings.images, image::Store::IfMissing::fail));
  NX_TRY(resolved.verified, resolved.store->resolve(digest));
  return {};
}

}  // namespace

std::string request_text(const Resolved& resolved) {
  return json::dump(request_json(resolved), json::Style::pretty) + "\n";
}

Result<> save_request(const Resolved& resolved) {
  return sys::write_file_atomic(resolved.bundle + "/request.json", request_text(resolved), 0600,
                                sys::Durable::no);
}

Result<PreparedBundle> hand_on(Resolved resolved) {
  if (!resolved.verified)
    return fail(Errc::Unsupported, "only the image form can be prepared for a monitor");
  auto undo = std::make_unique<FileUndoLog>(std::move(resolved.undo));
  auto commit = [log = undo.get()] { return log->commit(); };
  return PreparedBundle(std::move(resolved.bundle), std::move(resolved.backend), std::move(undo),
                        std::move(commit));
}

Result<Resolved> load_bundle(Request& request, FileUndoLog undo, Services& with) {
  const std::string bundle = Paths(with.settings).bundle(request.id);
  NX_TRY(json::Value document, read_document(bundle + "/request.json"), "prepared bundle");
  NX_TRY(json::Value config, read_document(bundle + "/config.json"), "prepared bundle");
  NX_TRY(oci::Spec spec, oci::parse_spec(config), "prepared bundle");
  NX_TRY(const Request kept, request_from_json(document), "prepared bundle");
  request.pivot = kept.pivot;
  request.keyring = kept.keyring;
  request.cgroup_manager = kept.cgroup_manager;
  Resolved resolved{
      Checked{&request, std::move(undo), bundle, {}, {}, std::move(spec), nullptr, {}, {}, {}, {}},
      {},
      {},
      {},
      {},
      {}};
  NX_CHECK(restore(resolved, document, with.settings), "prepared bundle " + bundle);
  return resolved;
}

Result<Resolved> load_prepared(Request& request, Services& with) {
  NX_CHECK(oci::check_container_id(request.id));
  const Paths paths(with.settings);
  NX_TRY(FileUndoLog undo, FileUndoLog::create(paths.undo_dir(), request.id));
  NX_TRY(bool taken, sys::exists(AT_FDCWD, paths.state_dir(request.id)));
  if (taken || is_guest(request.id, with.settings))
    return fail(Errc::ContainerExists, "container with id " + request.id + " exists already");
  return load_bundle(request, std::move(undo), with);
}

}  // namespace nexcage::runtime
