#include "nexcage/backends/proxmox/template_marks.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "nexcage/base/text.h"

namespace nexcage::backends::proxmox {

namespace {

constexpr std::string_view kEnding = ".json";
constexpr int kLockWait = 3'600'000;  // ms: as long as a big archive may take

}  // namespace

Result<TemplateMarks> TemplateMarks::open(const std::string& work) {
  if (work.empty()) return fail(Errc::ConfigError, "there is no directory for templates' marks");
  // No container's id begins with '@'.
  std::string dir = work + "/@templates";
  NX_CHECK(sys::mkdirs(dir, 0700));
  return TemplateMarks(std::move(dir));
}

Result<sys::FileLock> TemplateMarks::lock() const {
  return sys::FileLock::acquire(AT_FDCWD, path("lock"), sys::FileLock::Kind::exclusive, kLockWait);
}

std::string TemplateMarks::name(const std::string& node, const std::string& storage,
                                const std::string& short_digest) {
  return node + ":" + storage + ":" + short_digest + std::string(kEnding);
}

Result<std::optional<GuestName>> TemplateMarks::load(const std::string& name) const {
  NX_TRY(const bool is_there, sys::exists(AT_FDCWD, path(name)));
  if (!is_there) return std::nullopt;
  NX_TRY(const std::string text, sys::read_file(AT_FDCWD, path(name)));
  NX_TRY(const json::Value value, json::parse(text), path(name));
  NX_TRY(GuestName guest, guest_name(value), path(name));
  return std::optional(std::move(guest));
}

Result<> TemplateMarks::save(const std::string& name, const GuestName& guest) const {
  return sys::write_file_atomic(path(name), json::dump(to_json(guest)) + "\n", 0600,
                                sys::Durable::yes);
}

Result<> TemplateMarks::forget(const std::string& name) const {
  if (::unlink(path(name).c_str()) == 0 || errno == ENOENT) return {};
  return fail_errno("remove " + path(name));
}

std::string TemplateMarks::upload_path(const std::string& volume) const {
  std::string name = volume;
  std::ranges::replace(name, '/', ':');
  return path(name + ".size");
}

Result<std::optional<std::uint64_t>> TemplateMarks::load_upload(const std::string& volume) const {
  const auto text = sys::read_file(AT_FDCWD, upload_path(volume));
  if (!text && text.error().sys_errno() == ENOENT) return std::nullopt;
  if (!text) return fail(text.error());
  return parse_u64(trim(*text));
}

Result<> TemplateMarks::save_upload(const std::string& volume, std::uint64_t bytes) const {
  return sys::write_file_atomic(upload_path(volume), std::to_string(bytes) + "\n", 0600,
                                sys::Durable::yes);
}

Result<std::vector<std::string>> TemplateMarks::names() const {
  NX_TRY(const UniqueFd dir, sys::open_at(AT_FDCWD, dir_, O_RDONLY | O_DIRECTORY));
  NX_TRY(std::vector<std::string> names, sys::list_dir(dir.get()));
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(kEnding); });
  std::ranges::sort(names);
  return names;
}

}  // namespace nexcage::backends::proxmox
