// What login and logout change: files and credential helpers, those that containers-auth.json(5)
// and registries.conf name.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/registry/files.h"

namespace nexcage::registry {

/// The credential that a key of login has now, kind none when there is none.
Result<Credential> current_login(const Files& files, const std::string& key);

/// Keeps user and password under the key (parse_login_key) where the files say: a credential
/// helper, else login_file(), written atomically with mode 0600 and everything else in it kept.
/// Returns the place for people. Unsupported for a repository where only a helper may keep it; the
/// errors of helpers and files.
Result<std::string> store_login(const Environment& environment, const Choices& choices,
                                const Files& files, const std::string& key,
                                const std::string& username, const Secret& password);

/// Forgets the key there; false when nothing was there.
Result<bool> erase_login(const Environment& environment, const Choices& choices, const Files& files,
                         const std::string& key);
/// Forgets every key of login_file() and of the helpers it and registries.conf name.
Result<> erase_all_logins(const Environment& environment, const Choices& choices,
                          const Files& files);

}  // namespace nexcage::registry
