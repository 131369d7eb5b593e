#include "nexcage/vm/host/answers.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::vm::host {
namespace {

/// Of this boot of the host: answers from before it are forgotten.
std::string boot_of_host() {
  const auto boot = sys::read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64);
  return boot ? std::string(trim(*boot)) : std::string();
}

}  // namespace

json::Object Answers::all() const {
  const auto text = sys::read_file(AT_FDCWD, path_);
  const auto value = text ? json::parse(*text) : Result<json::Value>(json::Value());
  const json::Value* answers =
      value && value->text("boot") == boot_of_host() ? value->find("answers") : nullptr;
  return answers != nullptr && answers->if_object() != nullptr ? *answers->if_object()
                                                               : json::Object();
}

std::string Answers::find(const std::string& key) const { return all().text(key); }

Result<> Answers::keep(const std::string& key, std::string_view answer) const {
  NX_CHECK(sys::mkdirs(directory_, 0700));
  json::Object answers = all();
  answers.set(key, answer);
  json::Object out;
  out.set("boot", boot_of_host());
  out.set("answers", json::Value(std::move(answers)));
  return sys::write_file_atomic(path_, json::dump(json::Value(std::move(out))), 0600,
                                sys::Durable::no);
}

std::string identity_of_file(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return path;
  return path + ":" + std::to_string(info.st_size) + ":" + std::to_string(info.st_mtim.tv_sec);
}

}  // namespace nexcage::vm::host
