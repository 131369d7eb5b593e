// config.json: an accepted spec is written as one that is accepted and says the same.
#include "harness.h"
#include "nexcage/oci/spec.h"

namespace nexcage::fuzz {
namespace {

void check_process(const oci::Process& process) {
  check(!process.args.empty() && !process.args[0].empty(), "there is a program to run");
  check(process.cwd.starts_with('/'), "cwd is absolute");
  check(process.user.uid != static_cast<uid_t>(-1), "-1 is no user");
  check(process.user.gid != static_cast<gid_t>(-1), "-1 is no group");
  for (const std::string& entry : process.env) {
    check(entry.find('=') != std::string::npos && entry[0] != '=', "env is NAME=value");
    check(entry.find('\0') == std::string::npos, "env holds no NUL");
  }
  for (const std::string& word : process.args)
    check(word.find('\0') == std::string::npos, "args hold no NUL");
}

}  // namespace

NX_HARNESS(runtime_spec) {
  const auto value = json::parse(text_of(data, size));
  if (!value) return 0;
  const auto spec = oci::parse_spec(*value);
  if (!spec) {
    check_message(spec.error());
    return 0;
  }
  if (spec->process) check_process(*spec->process);

  const json::Value written = oci::to_json(*spec);
  const auto text = json::parse(json::dump(written));
  check(text.has_value(), "unknown fields never double a known one");
  const auto again = oci::parse_spec(*text);
  check(again.has_value(), "what is written is accepted");
  check(oci::to_json(*again) == written, "writing is stable");
  return 0;
}

}  // namespace nexcage::fuzz
