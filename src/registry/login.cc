#include "nexcage/registry/login.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "nexcage/base/text.h"
#include "nexcage/registry/credential_helper.h"
#include "nexcage/registry/plan.h"
#include "nexcage/sys/fs.h"
#include "nexcage/sys/umask.h"

namespace nexcage::registry {
namespace {

constexpr std::size_t kMaxFile = 4u << 20;
constexpr std::chrono::seconds kLockPatience{10};

std::string registry_of(const std::string& key) { return key.substr(0, key.find('/')); }
bool is_namespaced(const std::string& key) { return key.find('/') != std::string::npos; }

/// credential-helpers of registries.conf, or what holds without it.
std::vector<std::string> helpers_of(const Files& files) {
  const auto& named = files.registries.credential_helpers;
  if (named && !named->empty()) return *named;
  return {std::string(kAuthFilesHelper)};
}

/// One writer of a directory's files at a time. The directory itself is locked: no lock file stays.
Result<UniqueFd> lock_directory(const std::string& path) {
  NX_TRY(UniqueFd directory, sys::open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY));
  const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock " + path);
    if (std::chrono::steady_clock::now() > deadline)
      return fail(Errc::Timeout, "lock " + path + ": somebody else writes there");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return directory;
}

/// The file that a path ends at: people link their configuration to other places, and the link is
/// theirs to keep.
std::string behind_links(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

/// What an edit wants done with the document.
enum class Edited : std::uint8_t { yes, no };
using Edit = std::function<Result<Edited>(json::Value& document)>;

Result<> edit_file(const std::string& named, const Edit& edit) {
  const std::string path = behind_links(named);
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  NX_CHECK(sys::mkdirs(directory, 0700));
  NX_TRY(const UniqueFd lock, lock_directory(directory));
  json::Value document;
  auto text = sys::read_file(AT_FDCWD, path, kMaxFile);
  if (!text && text.error().sys_errno() != ENOENT) return fail(std::move(text).error());
  if (text) {
    auto parsed = json::parse(*text);
    if (!parsed) return fail(std::move(parsed).error().wrap(path).as(Errc::ConfigError));
    document = *std::move(parsed);
  }
  NX_TRY(const Edited edited, edit(document), path);
  if (edited == Edited::no) return {};
  const sys::NoUmask exact;
  return sys::write_file_atomic(path, json::dump(document, json::Style::pretty) + "\n", 0600,
                                sys::Durable::yes);
}

/// The file that login writes, as it was read; empty when it is missing.
AuthFile written_file(const Files& files, const std::string& path) {
  const auto found = std::ranges::find(files.auth, path, &AuthFile::path);
  AuthFile out;
  if (found != files.auth.end()) out = *found;
  out.path = path;
  return out;
}

/// The helper that keeps the key's registry for this file.
std::optional<HelperCall> keeper(const AuthFile& file, const std::string& key) {
  // Entries do not matter: with none, only helpers are found.
  AuthFile only_helpers = file;
  only_helpers.entries.clear();
  const std::vector<AuthFile> files = {std::move(only_helpers)};
  const auto sources = find_credentials(files, {}, registry_of(key), "");
  if (!sources || sources->empty()) return std::nullopt;
  return std::get<HelperCall>(sources->front());
}

Result<std::string> store_in_helper(const std::string& helper, const std::string& server,
                                    const std::string& key, const std::string& username,
                                    const Secret& password) {
  if (is_namespaced(key))
    return fail(Errc::Unsupported,
                "credential helper " + helper + " keeps whole registries, not " + quote(key));
  NX_CHECK(store_credential(helper, server, username, password));
  return "credential helper: " + helper;
}

Result<std::string> store_in_file(const AuthFile& file, const std::string& key,
                                  const std::string& username, const Secret& password) {
  if (const auto helper = keeper(file, key)) {
    NX_TRY(std::string place,
           store_in_helper(helper->name, helper->server, key, username, password));
    if (file.helpers.contains(helper->server)) return place;
    // A store for everything: Docker looks for the key here before it asks the store.
    NX_CHECK(edit_file(file.path, [&](json::Value& document) -> Result<Edited> {
      NX_TRY(document, with_marker(std::move(document), helper->server));
      return Edited::yes;
    }));
    return place;
  }
  NX_CHECK(edit_file(file.path, [&](json::Value& document) -> Result<Edited> {
    NX_TRY(document, with_login(std::move(document), key, username, password));
    return Edited::yes;
  }));
  return file.path;
}

Result<bool> erase_in_file(const AuthFile& file, const std::string& key) {
  bool was_there = false;
  std::string entry = key;
  if (const auto helper = keeper(file, key); helper && !is_namespaced(key)) {
    NX_TRY(was_there, erase_credential(helper->name, helper->server));
    if (!file.helpers.contains(helper->server)) entry = helper->server;
  }
  std::error_code error;
  if (!std::filesystem::exists(file.path, error)) return was_there;
  NX_CHECK(edit_file(file.path, [&](json::Value& document) -> Result<Edited> {
    NX_TRY(const bool login, remove_login(document, key));
    NX_TRY(const bool marker, remove_login(document, entry));
    was_there = was_there || login || marker;
    return login || marker ? Edited::yes : Edited::no;
  }));
  return was_there;
}

/// Every credential of a helper.
Result<> erase_helper(const std::string& helper) {
  auto servers = list_credentials(helper);
  if (!servers && servers.error().code() == Errc::RuntimeNotAvailable) return {};
  if (!servers) return fail(std::move(servers).error());
  for (const std::string& server : *servers) NX_CHECK(erase_credential(helper, server));
  return {};
}

}  // namespace

Result<Credential> current_login(const Files& files, const std::string& key) {
  const std::string registry = registry_of(key);
  const std::string repository = is_namespaced(key) ? key.substr(registry.size() + 1) : "";
  NX_TRY(const auto sources, find_credentials(files.auth, helpers_of(files), registry, repository));
  return first_credential(sources);
}

Result<std::string> store_login(const Environment& environment, const Choices& choices,
                                const Files& files, const std::string& key,
                                const std::string& username, const Secret& password) {
  if (username.find(':') != std::string::npos)
    return fail(Errc::InvalidSpec, "user name " + quote(username) + " has a colon in it");
  std::optional<Error> first;
  for (const std::string& helper : helpers_of(files)) {
    Result<std::string> place;
    if (helper == kAuthFilesHelper) {
      NX_TRY(const std::string path, login_file(environment, choices));
      place = store_in_file(written_file(files, path), key, username, password);
    } else {
      place = store_in_helper(helper, key, key, username, password);
    }
    if (place) return place;
    if (!first) first = std::move(place).error();
  }
  return fail(*std::move(first));
}

Result<bool> erase_login(const Environment& environment, const Choices& choices, const Files& files,
                         const std::string& key) {
  bool was_there = false;
  for (const std::string& helper : helpers_of(files)) {
    if (helper == kAuthFilesHelper) {
      NX_TRY(const std::string path, login_file(environment, choices));
      NX_TRY(const bool erased, erase_in_file(written_file(files, path), key));
      was_there = was_there || erased;
    } else if (!is_namespaced(key)) {
      NX_TRY(const bool erased, erase_credential(helper, key));
      was_there = was_there || erased;
    }
  }
  return was_there;
}

Result<> erase_all_logins(const Environment& environment, const Choices& choices,
                          const Files& files) {
  for (const std::string& helper : helpers_of(files)) {
    if (helper != kAuthFilesHelper) {
      NX_CHECK(erase_helper(helper));
      continue;
    }
    NX_TRY(const std::string path, login_file(environment, choices));
    const AuthFile file = written_file(files, path);
    for (const auto& [server, name] : file.helpers) NX_CHECK(erase_credential(name, server));
    if (!file.store.empty()) NX_CHECK(erase_helper(file.store));
    if (file.entries.empty()) continue;
    NX_CHECK(edit_file(path, [](json::Value& document) -> Result<Edited> {
      if (json::Object* members = document.if_object()) members->set("auths", json::Object());
      return Edited::yes;
    }));
  }
  return {};
}

}  // namespace nexcage::registry
