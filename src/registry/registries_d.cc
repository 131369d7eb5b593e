#include "nexcage/registry/registries_d.h"

#include <algorithm>
#include <array>
#include <vector>

#include "nexcage/base/text.h"
#include "nexcage/registry/policy.h"

namespace nexcage::registry {
namespace {

/// One "key: value" of a block mapping.
struct Line {
  std::size_t number = 0, indent = 0;
  std::string key, value;
  bool has_value = false;
};

class Lines {
 public:
  Lines(std::string_view text, const std::string& file) : file_(file) {
    std::size_t number = 0;
    for (std::string& line : split(text, '\n')) texts_.emplace_back(++number, std::move(line));
  }

  std::string origin(std::size_t number) const { return file_ + ":" + std::to_string(number); }
  std::unexpected<Error> refuse(std::size_t number, const std::string& why) const {
    return fail(Errc::ConfigError, origin(number) + ": " + why);
  }

  Result<std::vector<Line>> parse() const {
    std::vector<Line> out;
    for (const auto& [number, text] : texts_) {
      if (text.find('\t') < text.find_first_not_of(" \t"))
        return refuse(number, "a tab indents nothing in YAML");
      std::string_view rest = trim(text);
      const bool marker = (rest == "---" && out.empty()) || rest == "...";
      if (rest.empty() || rest.starts_with('#') || marker) continue;
      Line line{number, text.find_first_not_of(' '), "", "", false};
      NX_TRY(line.key, scalar(number, rest, true));
      if (rest.empty() || rest[0] != ':') return refuse(number, "expected KEY: VALUE");
      rest = trim(rest.substr(1));
      if (!rest.empty() && !rest.starts_with('#')) {
        NX_TRY(line.value, scalar(number, rest, false));
        line.has_value = true;
        if (!rest.empty() && !rest.starts_with('#'))
          return refuse(number, "text behind the value of " + quote(line.key));
      }
      out.push_back(std::move(line));
    }
    return out;
  }

 private:
  /// Takes a scalar off the front of `rest`; a key ends at the colon before a blank or the end.
  Result<std::string> scalar(std::size_t number, std::string_view& rest, bool key) const {
    if (rest[0] == '"' || rest[0] == '\'') {
      const std::size_t end = rest.find(rest[0], 1);
      const std::string_view inside = rest.substr(1, end == std::string_view::npos ? end : end - 1);
      const bool escapes = rest[0] == '"' ? inside.find('\\') != std::string_view::npos
                                          : rest.substr(end + 1).starts_with('\'');
      if (end == std::string_view::npos || escapes)
        return refuse(number, "this way of quoting is not understood");
      rest = trim(rest.substr(end + 1));
      return std::string(inside);
    }
    constexpr std::string_view kOtherYaml = "-?:,[]{}#&*!|>%@`";
    if (kOtherYaml.find(rest[0]) != std::string_view::npos)
      return refuse(number, "only mappings of words are understood here, not " + quote(rest));
    std::size_t end = 0;
    while (end < rest.size() && !ends_at(rest, end, key)) ++end;
    const std::string_view word = trim(rest.substr(0, end));
    rest = trim(rest.substr(end));
    return std::string(word);
  }
  static bool ends_at(std::string_view rest, std::size_t at, bool key) {
    const bool before_blank = at + 1 == rest.size() || rest[at + 1] == ' ';
    if (key) return rest[at] == ':' && before_blank;
    return rest[at] == '#' && at > 0 && rest[at - 1] == ' ';
  }

  const std::string& file_;
  std::vector<std::pair<std::size_t, std::string>> texts_;
};

/// The lines below lines[at]: deeper than it, until one that is not.
std::span<const Line> below(std::span<const Line> lines, std::size_t at) {
  std::size_t end = at + 1;
  while (end < lines.size() && lines[end].indent > lines[at].indent) ++end;
  return lines.subspan(at + 1, end - at - 1);
}

/// Calls `take` for each entry of a mapping with the lines below it; keys are unique, of one depth.
template <class Take>
Result<> each_entry(const Lines& source, std::span<const Line> lines, Take take) {
  std::vector<std::string_view> seen;
  for (std::size_t at = 0; at < lines.size();) {
    const Line& line = lines[at];
    if (line.indent != lines[0].indent) return source.refuse(line.number, "indented unevenly");
    if (std::ranges::find(seen, line.key) != seen.end())
      return source.refuse(line.number, quote(line.key) + " is there twice");
    seen.push_back(line.key);
    const std::span<const Line> inner = below(lines, at);
    if (line.has_value && !inner.empty())
      return source.refuse(inner[0].number, "indented below a value");
    NX_CHECK(take(line, inner));
    at += 1 + inner.size();
  }
  return {};
}

Result<> parse_section(const Lines& source, std::span<const Line> lines, Attachments& out) {
  return each_entry(source, lines, [&](const Line& line, std::span<const Line> inner) -> Result<> {
    constexpr std::array<std::string_view, 4> kOfSimpleSigning = {"lookaside", "lookaside-staging",
                                                                  "sigstore", "sigstore-staging"};
    if (!inner.empty()) return source.refuse(line.number, quote(line.key) + " is no mapping");
    // Where signatures by GnuPG are; nexcage refuses rules that need them (policy.h).
    if (std::ranges::find(kOfSimpleSigning, line.key) != kOfSimpleSigning.end()) return {};
    if (line.key != "use-sigstore-attachments")
      return source.refuse(line.number, "unknown key " + quote(line.key));
    const std::string word = to_lower(line.value);
    if (word != "true" && word != "false")
      return source.refuse(line.number, line.key + ": expected true or false");
    out.use = word == "true";
    return {};
  });
}

}  // namespace

Result<> add_registries_d(std::string_view text, const std::string& file, RegistriesD& into) {
  const Lines source(text, file);
  NX_TRY(const std::vector<Line> lines, source.parse());
  const auto section = [&](const Line& line, std::span<const Line> inner) -> Result<Attachments> {
    Attachments out{{}, source.origin(line.number)};
    if (line.has_value) return source.refuse(line.number, quote(line.key) + " must be a mapping");
    NX_CHECK(parse_section(source, inner, out));
    return out;
  };
  return each_entry(source, lines, [&](const Line& top, std::span<const Line> inner) -> Result<> {
    if (top.key == "default-docker") {
      if (into.fallback)
        return source.refuse(top.number, "default-docker is at " + into.fallback->origin + " too");
      NX_TRY(into.fallback, section(top, inner));
      return {};
    }
    if (top.key != "docker") return source.refuse(top.number, "unknown key " + quote(top.key));
    if (top.has_value) return source.refuse(top.number, "docker must be a mapping");
    return each_entry(source, inner, [&](const Line& line, std::span<const Line> deep) -> Result<> {
      if (const auto other = into.sections.find(line.key); other != into.sections.end())
        return source.refuse(line.number,
                             quote(line.key) + " is at " + other->second.origin + " too");
      NX_TRY(Attachments parsed, section(line, deep));
      into.sections.emplace(line.key, std::move(parsed));
      return {};
    });
  });
}

bool use_attachments(const RegistriesD& config, const oci::Reference& image) {
  for (const std::string& scope : scopes_of(image)) {
    const auto found = config.sections.find(scope);
    if (found != config.sections.end() && found->second.use) return *found->second.use;
  }
  return config.fallback && config.fallback->use.value_or(false);
}

}  // namespace nexcage::registry
