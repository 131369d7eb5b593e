#include "nexcage/runtime/exchange.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "nexcage/base/testpoint.h"
#include "nexcage/json/value.h"
#include "nexcage/sys/fs.h"

namespace nexcage::runtime {
namespace {

/// A few documents, as strings in one.
constexpr std::size_t kMaxJournal = 64U << 20;

std::string journal(const std::string& bundle) { return bundle + "/exchange.json"; }

json::Value to_json(const Exchange& exchange) {
  json::Array files;
  for (const FileText& file : exchange.before) {
    json::Object one;
    one.set("path", file.path);
    one.set("mode", std::uint64_t{file.mode});
    if (file.text) one.set("text", *file.text);
    files.emplace_back(std::move(one));
  }
  json::Object document;
  document.set("before", std::move(files));
  if (exchange.volume) document.set("volume", storage::to_json(*exchange.volume));
  document.set("generation", exchange.generation);
  return document;
}

Result<FileText> file_from_json(const json::Value& value) {
  FileText file{.path = value.text("path"), .mode = 0600, .text = {}};
  if (!file.path.starts_with('/')) return fail(Errc::InvalidJson, "/before: a path is missing");
  if (const json::Value* mode = value.find("mode"))
    file.mode = static_cast<mode_t>(mode->as_u64().value_or(file.mode));
  if (const json::Value* text = value.find("text")) file.text = text->text();
  return file;
}

Result<Exchange> exchange_from_json(const json::Value& value) {
  Exchange exchange;
  const json::Value* files = value.find("before");
  if (files == nullptr || files->if_array() == nullptr)
    return fail(Errc::InvalidJson, "/before: is no array");
  for (const json::Value& one : *files->if_array()) {
    NX_TRY(FileText file, file_from_json(one));
    exchange.before.push_back(std::move(file));
  }
  if (const json::Value* volume = value.find("volume")) {
    NX_TRY(exchange.volume, storage::volume_from_json(*volume));
  }
  if (const json::Value* generation = value.find("generation"))
    exchange.generation = static_cast<unsigned>(generation->as_u64().value_or(1));
  return exchange;
}

Result<> put(const FileText& file) {
  if (!file.text) return sys::remove_file(AT_FDCWD, file.path);
  return sys::write_file_atomic(file.path, *file.text, file.mode, sys::Durable::yes);
}

/// The state directory is gone after a reboot, and is made anew from what is in the bundle. A file
/// that was not replaced yet is left alone: perhaps it could not be.
Result<> put_back(const FileText& file) {
  NX_TRY(const FileText now, read_file_text(file.path, file.mode));
  if (now == file) return {};
  auto done = put(file);
  if (!done && done.error().sys_errno() == ENOENT) return {};
  return done;
}

}  // namespace

Result<FileText> read_file_text(const std::string& path, mode_t mode) {
  FileText file{.path = path, .mode = mode, .text = {}};
  auto text = sys::read_file(AT_FDCWD, path, kMaxJournal);
  if (!text && text.error().sys_errno() == ENOENT) return file;
  if (!text) return fail(std::move(text).error());
  file.text = *std::move(text);
  return file;
}

Result<> begin_exchange(const std::string& bundle, const Exchange& exchange) {
  const std::string text = json::dump(to_json(exchange)) + "\n";
  return sys::write_file_atomic(journal(bundle), text, 0600, sys::Durable::yes);
}

Result<> write_file_texts(const std::vector<FileText>& files) {
  for (const FileText& file : files) {
    NX_CHECK(put(file));
    testpoint("update-exchanging");
  }
  return {};
}

Result<> commit_exchange(const std::string& bundle) {
  NX_TRY(const UniqueFd directory, sys::open_at(AT_FDCWD, bundle, O_RDONLY | O_DIRECTORY));
  NX_CHECK(sys::remove_file(AT_FDCWD, journal(bundle)));
  return sys::fsync_fd(directory.get(), bundle);
}

Result<> undo_exchange(const std::string& bundle) {
  const std::string path = journal(bundle);
  const auto text = sys::read_file(AT_FDCWD, path, kMaxJournal);
  if (!text && text.error().sys_errno() == ENOENT) return {};
  if (!text) return fail(text.error());
  NX_TRY(const json::Value document,
         json::parse(*text, {.max_bytes = kMaxJournal, .max_depth = json::Limits{}.max_depth}),
         path);
  NX_TRY(const Exchange exchange, exchange_from_json(document), path);
  for (const FileText& file : exchange.before) NX_CHECK(put_back(file), "take an update back");
  if (exchange.volume) NX_CHECK(storage::remove_volume(*exchange.volume), "take an update back");
  if (exchange.generation > 1)
    NX_CHECK(sys::remove_tree(storage::generation_dir(bundle, exchange.generation)));
  return commit_exchange(bundle);
}

}  // namespace nexcage::runtime
