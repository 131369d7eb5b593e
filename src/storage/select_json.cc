// A choice of storage as JSON: `run -d` decides in one process and creates in another.
#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/storage/select.h"

namespace nexcage::storage {
namespace {

Result<std::uint64_t> number(const json::Value& value, const char* name) {
  const json::Value* member = value.find(name);
  const auto found = member != nullptr ? member->as_u64() : std::nullopt;
  if (found) return *found;
  return fail(Errc::InvalidJson, std::string("/storage/") + name + ": must be a number");
}

}  // namespace

Result<Kind> parse_kind(const std::string& word) {
  for (const Kind kind : {Kind::bundle, Kind::local, Kind::directory, Kind::zfs, Kind::zvol})
    if (word == kind_name(kind)) return kind;
  return fail(Errc::InvalidJson, quote(word) + " is no kind of storage");
}

json::Value to_json(const Choice& choice) {
  json::Object object;
  object.set("kind", kind_name(choice.kind));
  object.set("location", choice.location);
  object.set("layerfs", choice.layerfs);
  if (choice.size) object.set("size", *choice.size);
  if (choice.raw) object.set("raw", raw::file_system_name(choice.raw->file_system));
  return object;
}

Result<Choice> choice_from_json(const json::Value& value) {
  Choice choice;
  NX_TRY(choice.kind, parse_kind(value.text("kind")), "/storage/kind");
  choice.location = value.text("location");
  choice.layerfs = value.text("layerfs");
  if (value.find("size") != nullptr) {
    NX_TRY(choice.size, number(value, "size"));
  }
  if (value.find("raw") == nullptr) return choice;
  NX_TRY(const raw::FileSystem file_system, raw::parse_file_system(value.text("raw")),
         "/storage/raw");
  if (!choice.size) return fail(Errc::InvalidJson, "/storage/size: is missing");
  choice.raw = RawChoice{.file_system = file_system, .bytes = *choice.size};
  return choice;
}

}  // namespace nexcage::storage
