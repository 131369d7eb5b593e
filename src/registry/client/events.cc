#include "nexcage/registry/client/events.h"

#include "nexcage/sys/fs.h"

namespace nexcage::registry::client {

namespace {
constexpr std::chrono::milliseconds kProgressEvery{100};
}

void Events::emit(std::string_view event, const json::Object& fields) {
  if (fd_ < 0) return;
  json::Object line;
  line.append("event", event);
  for (const auto& [name, value] : fields) line.append(name, value);
  if (!sys::write_all(fd_, json::dump(std::move(line)) + "\n")) fd_ = -1;
}

void Events::endpoint(std::string_view url) {
  json::Object fields;
  fields.append("url", url);
  emit("endpoint", fields);
}

void Events::blob(const oci::Digest& digest, std::string_view state) {
  json::Object fields;
  fields.append("digest", digest.str());
  fields.append("state", state);
  emit("blob", fields);
}

void Events::progress(const oci::Digest& digest, std::uint64_t bytes, std::uint64_t size) {
  if (fd_ < 0) return;
  const auto now = std::chrono::steady_clock::now();
  auto& last = last_[digest.str()];
  if (bytes < size && now - last < kProgressEvery) return;
  last = now;
  json::Object fields;
  fields.append("digest", digest.str());
  fields.append("bytes", bytes);
  fields.append("size", size);
  emit("progress", fields);
}

void Events::retry(std::string_view what, std::string_view why, std::chrono::milliseconds delay) {
  json::Object fields;
  fields.append("what", what);
  fields.append("why", why);
  fields.append("delay", static_cast<double>(delay.count()) / 1000);
  emit("retry", fields);
}

}  // namespace nexcage::registry::client
