// MountRecord as JSON, and undoing a mount by it.
#include <utility>

#include "nexcage/layerfs/layerfs.h"
#include "nexcage/layerfs/message.h"
#include "nexcage/sys/mount.h"

namespace nexcage::layerfs {

json::Value to_json(const MountRecord& record) {
  json::Object object;
  object.set("driver", record.driver);
  object.set("target", record.at.target);
  object.set("upper", record.at.upper);
  object.set("key", record.key);
  object.set("method", record.method);
  if (!record.at.dataset.empty()) {
    object.set("dataset", record.at.dataset);
    object.set("token", record.at.token);
  }
  return object;
}

Result<MountRecord> mount_record_from_json(const json::Value& value) {
  const Message message(value, "mount of layers");
  MountRecord record;
  NX_TRY(record.driver, message.text("driver"));
  NX_TRY(record.at.target, message.text("target"));
  NX_TRY(record.at.upper, message.text("upper"));
  NX_TRY(record.key, message.text("key"));
  NX_TRY(record.method, message.text("method"));
  if (message.has("dataset")) {
    NX_TRY(record.at.dataset, message.text("dataset"));
    NX_TRY(record.at.token, message.text("token"));
  }
  return record;
}

Result<> undo_mount(const std::string& root, const MountRecord& record) {
  const auto driver = open_unprobed(record.driver, {.root = root});
  // Of a driver that this build does not have: what it noted is its own.
  if (!driver) return sys::unmount(record.at.target);
  return (*driver)->unmount(record);
}

Result<> sweep(const std::string& root, const std::string& driver) {
  const auto opened = open_unprobed(driver, {.root = root});
  if (!opened) return {};
  return (*opened)->sweep();
}

}  // namespace nexcage::layerfs
