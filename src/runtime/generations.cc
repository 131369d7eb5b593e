#include "nexcage/runtime/generations.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "nexcage/base/clock.h"
#include "nexcage/base/testpoint.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

constexpr std::size_t kMaxBytes = 64U << 20;

std::string file_of(const std::string& bundle) { return bundle + "/generations.json"; }

json::Value to_json(const Generation& one) {
  json::Object out;
  out.set("number", one.number);
  out.set("replaced", one.replaced);
  out.set("image", one.image);
  out.set("digest", one.digest);
  out.set("volume", storage::to_json(one.volume));
  out.set("config", one.config);
  out.set("request", one.request);
  out.set("info", one.info);
  return out;
}

Result<unsigned> number_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  const auto number = member != nullptr ? member->as_u64() : std::nullopt;
  if (!number || *number == 0 || *number > 1'000'000'000)
    return fail(Errc::InvalidJson, "/" + std::string(name) + ": is no number of a generation");
  return static_cast<unsigned>(*number);
}

Result<Generation> from_json(const json::Value& value) {
  Generation one;
  NX_TRY(one.number, number_at(value, "number"));
  one.replaced = value.text("replaced");
  one.image = value.text("image");
  one.digest = value.text("digest");
  const json::Value* volume = value.find("volume");
  if (volume == nullptr) return fail(Errc::InvalidJson, "/volume: is missing");
  NX_TRY(one.volume, storage::volume_from_json(*volume));
  one.config = value.text("config");
  one.request = value.text("request");
  one.info = value.text("info");
  return one;
}

json::Array list_json(const std::vector<Generation>& all) {
  json::Array out;
  for (const Generation& one : all) out.push_back(to_json(one));
  return out;
}

Result<std::vector<Generation>> list_at(const json::Value& value, std::string_view name) {
  const json::Value* member = value.find(name);
  if (member == nullptr || member->if_array() == nullptr)
    return fail(Errc::InvalidJson, "/" + std::string(name) + ": is no array");
  std::vector<Generation> all;
  for (const json::Value& item : *member->if_array()) {
    NX_TRY(Generation one, from_json(item), std::string(name));
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace

Result<Generation> read_generation(const std::string& bundle, const std::string& info_file,
                                   unsigned number) {
  Generation one;
  one.number = number;
  one.replaced = format_rfc3339(now());
  NX_TRY(one.config, sys::read_file(AT_FDCWD, bundle + "/config.json", json::Limits{}.max_bytes));
  NX_TRY(one.request, sys::read_file(AT_FDCWD, bundle + "/request.json", json::Limits{}.max_bytes));
  NX_TRY(one.info, sys::read_file(AT_FDCWD, info_file, json::Limits{}.max_bytes));
  NX_TRY(const json::Value info, json::parse(one.info), info_file);
  one.image = info.text("image");
  one.digest = info.text("image_digest");
  const json::Value* volume = info.find("storage");
  if (volume == nullptr) return fail(Errc::InvalidJson, info_file + ": /storage: is missing");
  NX_TRY(one.volume, storage::volume_from_json(*volume), info_file);
  return one;
}

Result<Generations> load_generations(const std::string& bundle) {
  const std::string file = file_of(bundle);
  const auto text = sys::read_file(AT_FDCWD, file, kMaxBytes);
  if (!text && text.error().sys_errno() == ENOENT) return Generations{};
  if (!text) return fail(text.error());
  NX_TRY(const json::Value document,
         json::parse(*text, {.max_bytes = kMaxBytes, .max_depth = json::Limits{}.max_depth}), file);
  Generations all;
  NX_TRY(all.current, number_at(document, "current"), file);
  NX_TRY(all.last, number_at(document, "last"), file);
  NX_TRY(all.earlier, list_at(document, "earlier"), file);
  NX_TRY(all.discarded, list_at(document, "discarded"), file);
  return all;
}

std::string generations_text(const Generations& generations) {
  json::Object document;
  document.set("current", generations.current);
  document.set("last", generations.last);
  document.set("earlier", list_json(generations.earlier));
  document.set("discarded", list_json(generations.discarded));
  return json::dump(json::Value(std::move(document))) + "\n";
}

Generations with_newer(Generations all, Generation current, unsigned number) {
  all.earlier.insert(all.earlier.begin(), std::move(current));
  all.current = number;
  all.last = std::max(all.last, number);
  return all;
}

Generations with_earlier(Generations all, Generation current) {
  all.current = all.earlier.front().number;
  all.earlier.front() = std::move(current);
  return all;
}

Generations without_surplus(Generations all, unsigned keep) {
  for (; all.earlier.size() > keep; all.earlier.pop_back())
    all.discarded.push_back(std::move(all.earlier.back()));
  return all;
}

Generations without(Generations all, unsigned number) {
  const auto left = std::ranges::find(all.earlier, number, &Generation::number);
  if (left == all.earlier.end()) return all;
  all.discarded.push_back(std::move(*left));
  all.earlier.erase(left);
  return all;
}

Generations taken_back(Generations before, Generation current) {
  before.last = std::max(before.last, current.number);
  before.discarded.push_back(std::move(current));
  return before;
}

Result<> save_generations(const std::string& bundle, const Generations& all) {
  return sys::write_file_atomic(file_of(bundle), generations_text(all), 0600, sys::Durable::yes);
}

Result<> remove_discarded(const std::string& bundle) {
  NX_TRY(Generations all, load_generations(bundle));
  if (all.discarded.empty()) return {};
  for (const Generation& one : all.discarded) {
    NX_CHECK(storage::remove_volume(one.volume), "remove the root of " + one.image);
    if (one.number > 1) NX_CHECK(sys::remove_tree(storage::generation_dir(bundle, one.number)));
    testpoint("update-discarding");
  }
  all.discarded.clear();
  return save_generations(bundle, all);
}

}  // namespace nexcage::runtime
