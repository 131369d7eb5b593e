#include "nexcage/layerfs/drivers/erofs_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <utility>

#include "nexcage/layerfs/drivers/protect.h"
#include "nexcage/layerfs/message.h"
#include "nexcage/sys/fs.h"

namespace nexcage::layerfs::erofs_driver {
namespace {

constexpr std::string_view kTarPrefix = "t-";
constexpr std::array<std::string_view, 3> kImagePrefixes = {"m-", "i-", "f-"};

Result<TarInfo> read_tar(const Message& message) {
  NX_TRY(oci::Digest diff_id, message.digest("diff_id"));
  TarInfo info{.diff_id = std::move(diff_id), .bytes = 0, .entries = 0, .verity = {}};
  NX_TRY(info.bytes, message.number("bytes"));
  NX_TRY(info.entries, message.number("entries"));
  NX_TRY(info.verity, message.text("verity"));
  return info;
}

Result<ConvertForm> read_form(const Message& message) {
  NX_TRY(const std::string word, message.text("form"));
  for (const ConvertForm form : {ConvertForm::merged, ConvertForm::index, ConvertForm::full})
    if (word == form_name(form)) return form;
  return fail(message.bad("form"));
}

Result<ImageInfo> read_image(const Message& message) {
  NX_TRY(oci::Digest digest, message.digest("digest"));
  ImageInfo info{.form = {},
                 .digest = std::move(digest),
                 .bytes = 0,
                 .entries = 0,
                 .verity = {},
                 .root_opaque = false,
                 .diff_ids = {},
                 .parent = {},
                 .devices = {}};
  NX_TRY(info.form, read_form(message));
  NX_TRY(info.bytes, message.number("bytes"));
  NX_TRY(info.entries, message.number("entries"));
  NX_TRY(info.verity, message.text("verity"));
  NX_TRY(info.root_opaque, message.boolean("root_opaque"));
  if (message.has("parent")) {
    NX_TRY(info.parent, message.digest("parent"));
  }
  NX_TRY(const auto diff_ids, message.texts("diff_ids"));
  for (const std::string& text : diff_ids) {
    NX_TRY(oci::Digest diff_id, oci::Digest::parse(text));
    info.diff_ids.push_back(std::move(diff_id));
  }
  NX_TRY(const auto devices, message.items("devices"));
  for (const Message& device : devices) {
    NX_TRY(TarInfo tar, read_tar(device));
    info.devices.push_back(std::move(tar));
  }
  return info;
}

template <class Info>
Result<std::optional<Info>> find(const LayerStore& store, const std::string& key,
                                 Result<Info> (*read)(const Message&)) {
  NX_TRY(const std::optional<json::Value> done, store.find(key));
  if (!done) return std::optional<Info>();
  auto info = read(Message(*done, "done.json"));
  if (!info) return fail(store.damaged(key, std::move(info).error()));
  return std::optional<Info>(std::move(*info));
}

}  // namespace

std::string tar_key(const oci::Digest& diff_id) {
  return std::string(kTarPrefix) + std::string(diff_id.hex());
}

bool is_tar_key(std::string_view key) { return key.starts_with(kTarPrefix); }

std::string image_key(ConvertForm form, const oci::Digest& chain_id) {
  return std::string(kImagePrefixes.at(static_cast<std::size_t>(form))) +
         std::string(chain_id.hex());
}

std::string_view image_form(std::string_view key) {
  for (std::size_t i = 0; i < kImagePrefixes.size(); ++i)
    if (key.starts_with(kImagePrefixes[i])) return form_name(static_cast<ConvertForm>(i));
  return "unknown";
}

const char* file_of(std::string_view key) { return is_tar_key(key) ? kTarFile : kIndexFile; }

json::Value to_json(const TarInfo& info) {
  json::Object object;
  object.set("diff_id", info.diff_id.str());
  object.set("bytes", info.bytes);
  object.set("entries", info.entries);
  object.set("verity", info.verity);
  return object;
}

json::Value to_json(const ImageInfo& info) {
  json::Object object;
  object.set("form", form_name(info.form));
  object.set("digest", info.digest.str());
  object.set("bytes", info.bytes);
  object.set("entries", info.entries);
  object.set("verity", info.verity);
  object.set("root_opaque", info.root_opaque);
  if (info.parent) object.set("parent", info.parent->str());
  json::Array diff_ids, devices;
  for (const oci::Digest& diff_id : info.diff_ids) diff_ids.emplace_back(diff_id.str());
  for (const TarInfo& device : info.devices) devices.push_back(to_json(device));
  object.set("diff_ids", std::move(diff_ids));
  object.set("devices", std::move(devices));
  return object;
}

Result<std::optional<TarInfo>> find_tar(const LayerStore& store, const std::string& key) {
  return find<TarInfo>(store, key, &read_tar);
}

Result<std::optional<ImageInfo>> find_image(const LayerStore& store, const std::string& key) {
  return find<ImageInfo>(store, key, &read_image);
}

Result<UniqueFd> open_checked(const LayerStore& store, const std::string& key, std::uint64_t bytes,
                              const std::string& verity) {
  auto file = sys::open_beneath(store.fd(), key + "/" + file_of(key), O_RDONLY | O_NOFOLLOW);
  if (!file) return fail(store.damaged(key, std::move(file).error()));
  NX_TRY(const struct stat info, sys::stat_fd(file->get()));
  const auto refuse = [&](const std::string& why) {
    return fail(store.damaged(key, Error(Errc::LayerError, why)));
  };
  if (!S_ISREG(info.st_mode) || info.st_uid != 0 || (info.st_mode & 0022) != 0)
    return refuse("is no file that root alone writes");
  if (static_cast<std::uint64_t>(info.st_size) != bytes)
    return refuse("has " + std::to_string(info.st_size) + " bytes instead of " +
                  std::to_string(bytes));
  if (verity.empty()) return file;
  NX_TRY(const std::string measured, measure_verity(file->get()));
  if (measured != verity) return refuse("has another fs-verity digest than it was given");
  return file;
}

}  // namespace nexcage::layerfs::erofs_driver
