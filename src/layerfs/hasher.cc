#include "nexcage/layerfs/hasher.h"

#include <utility>

#include "nexcage/image/helper.h"

namespace nexcage::layerfs {
namespace {

Error bad_message() { return {Errc::InvalidJson, "hash: the message is not what it should be"}; }

const json::Array* array_in(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  return member == nullptr ? nullptr : member->if_array();
}

Result<oci::Digest> digest_in(const json::Value& item) {
  if (const json::Value* error = item.find("error")) return fail(image::error_from_json(*error));
  return oci::Digest::parse(item.text("digest"));
}

}  // namespace

json::Value hash_request(const std::vector<std::string>& paths) {
  json::Array files;
  for (const std::string& path : paths) files.emplace_back(path);
  json::Object request;
  request.set("files", std::move(files));
  return request;
}

Result<std::vector<std::string>> parse_hash_request(const json::Value& request) {
  const json::Array* files = array_in(request, "files");
  if (files == nullptr) return fail(bad_message());
  std::vector<std::string> paths;
  paths.reserve(files->size());
  for (const json::Value& file : *files) {
    if (file.if_string() == nullptr) return fail(bad_message());
    paths.push_back(*file.if_string());
  }
  return paths;
}

json::Value hash_answer(const std::vector<Result<oci::Digest>>& digests) {
  json::Array results;
  for (const Result<oci::Digest>& digest : digests) {
    json::Object item;
    if (digest)
      item.set("digest", digest->str());
    else
      item.set("error", image::error_to_json(digest.error()));
    results.emplace_back(std::move(item));
  }
  json::Object answer;
  answer.set("results", std::move(results));
  return answer;
}

Hasher helper_hasher(std::string libexec_dir) {
  return [libexec_dir = std::move(libexec_dir)](
             const std::vector<std::string>& paths) -> Result<std::vector<Result<oci::Digest>>> {
    NX_TRY(const json::Value answer, image::call_helper(libexec_dir, "hash", hash_request(paths)));
    const json::Array* items = array_in(answer, "results");
    if (items == nullptr || items->size() != paths.size()) return fail(bad_message());
    std::vector<Result<oci::Digest>> digests;
    digests.reserve(items->size());
    for (const json::Value& item : *items) digests.push_back(digest_in(item));
    return digests;
  };
}

}  // namespace nexcage::layerfs
