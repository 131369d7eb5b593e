// containers-auth.json and Docker's config.json.
#include "nexcage/registry/auth_file.h"

#include "harness.h"

namespace nexcage::fuzz {
namespace {

void check_look_ups(const registry::AuthFile& file) {
  const std::vector<registry::AuthFile> files = {file};
  for (const char* registry : {"h.x", "docker.io", "h.x:5000"}) {
    const auto sources = registry::find_credentials(files, {}, registry, "a/b");
    if (!sources) check_message(sources.error());
  }
}

/// What login writes is found again, and logout takes it away.
void check_edits(const json::Value& document) {
  auto written = registry::with_login(document, "h.x", "user", registry::Secret("pass:word"));
  if (!written) {
    check_message(written.error());
    return;
  }
  const auto again =
      registry::parse_auth_file(json::dump(*written), "f", registry::AuthFormat::current);
  if (again) {
    registry::AuthFile alone = *again;
    alone.helpers.clear();
    alone.store.clear();
    const std::vector<registry::AuthFile> files = {alone};
    const auto sources = registry::find_credentials(files, {}, "h.x", "");
    check(sources && sources->size() == 1, "a login is found");
    const auto* found = std::get_if<registry::FoundCredential>(&sources->front());
    check(found != nullptr && found->credential.secret.reveal() == "pass:word", "as it was given");
  }
  const auto removed = registry::remove_login(*written, "h.x");
  check(removed && *removed, "logout finds what login wrote");
}

}  // namespace

NX_HARNESS(auth_file) {
  const std::string_view text = text_of(data, size);
  for (const auto format : {registry::AuthFormat::current, registry::AuthFormat::legacy}) {
    const auto file = registry::parse_auth_file(text, "f", format);
    if (file)
      check_look_ups(*file);
    else
      check_message(file.error());
  }
  if (const auto document = json::parse(text)) check_edits(*document);
  if (const auto key = registry::parse_login_key(text); !key) check_message(key.error());
  return 0;
}

}  // namespace nexcage::fuzz
