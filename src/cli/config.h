// The configuration: files, environment and options joined into runtime::Settings, each value with
// its origin. Precedence: option, environment, file, default.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nexcage/base/error.h"
#include "nexcage/runtime/settings.h"

namespace nexcage::cli {

inline constexpr std::string_view kConfigFile = "/etc/nexcage/config.toml";
inline constexpr std::string_view kConfigDirectory = "/etc/nexcage/config.toml.d";
/// Names the file as --config does; the option beats it.
inline constexpr std::string_view kConfigVariable = "NEXCAGE_CONFIG";

/// How a value is checked.
enum class ConfigKind : std::uint8_t {
  directory,  // absolute path
  text,       // any string
  word,       // a string that is not empty
  seconds,    // integer >= 0
  number,     // integer >= 0
  path,       // absolute directories, joined by ':'
};

/// One key that files and environment may set. The table of keys is the documentation's source.
struct ConfigKey {
  std::string_view name;         // "runtime.root"
  std::string_view environment;  // "NEXCAGE_ROOT"
  ConfigKind kind;
  std::variant<std::string runtime::Settings::*, int runtime::Settings::*,
               std::string backends::ProxmoxSetup::*, int backends::ProxmoxSetup::*>
      member;
};
std::span<const ConfigKey> config_keys();

/// A value as a TOML file has it. `other` is any type that no key takes.
struct TomlEntry {
  std::string key;  // "runtime.root", tables joined by dots
  std::variant<std::monostate, std::string, std::int64_t> value;  // monostate: another type
  std::string type;                                               // "string", "array": for messages
  std::uint32_t line = 0;
  std::size_t table = 0;  // of an array of tables: which of them, from 1; 0: of none
};
/// Parses one file's text. ConfigError with file and line for bad syntax.
Result<std::vector<TomlEntry>> parse_toml(std::string_view text, const std::string& file);

/// An entry of a [[runtime.rule]] table, or what stands in the place of one.
bool is_rule(const TomlEntry& entry);

class Configuration {
 public:
  Configuration();

  /// `only` if given (missing is ConfigError), else config.toml and then config.toml.d/*.toml in
  /// the order of their names, where they exist.
  Result<> read_files(const std::optional<std::string>& only);
  /// ConfigError naming file:line for an unknown key (with a suggestion) or a wrong type.
  Result<> read_text(std::string_view text, const std::string& file);
  /// The NEXCAGE_* variables of the table. An empty variable counts as not set.
  Result<> read_environment();
  /// Sets one key from text. ConfigError naming `origin` for a value that does not fit.
  Result<> set(std::string_view key, const std::string& value, const std::string& origin);
  void set_libexec(std::string directory) { settings_.libexec = std::move(directory); }

  const runtime::Settings& settings() const { return settings_; }
  /// "default", "/etc/nexcage/config.toml:3", "environment NEXCAGE_ROOT", "option --root".
  const std::string& origin(std::string_view key) const;
  /// The value as text; integers in decimal.
  std::string value(const ConfigKey& key) const;

 private:
  Result<> assign(std::size_t index, const std::string& value, const std::string& origin);

  /// Adds the [[runtime.rule]] tables among a file's entries.
  Result<> add_rules(std::span<const TomlEntry> entries, const std::string& file);

  runtime::Settings settings_;
  std::vector<std::string> origins_;  // one per key, in the table's order
};

}  // namespace nexcage::cli
