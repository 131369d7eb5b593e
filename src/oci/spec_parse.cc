// The top level of config.json: version, root, mounts, hooks, and the sections' readers.
#include <array>

#include "nexcage/base/text.h"
#include "nexcage/oci/spec_fields.h"

namespace nexcage::oci {
namespace {

constexpr std::uint64_t kNewestMinor = 3;
constexpr std::size_t kHostNameMax = 64;  // sethostname(2)

bool is_number(std::string_view text) {
  const bool leading_zero = text.size() > 1 && text.front() == '0';
  return !leading_zero && parse_u64(text).has_value();
}

/// SemVer 2.0.0 identifiers behind '-' or '+': not empty, of [0-9A-Za-z-].
bool are_identifiers(std::string_view text) {
  for (const std::string& part : split(text, '.')) {
    if (part.empty()) return false;
    for (char c : part) {
      const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
      if (!letter && !(c >= '0' && c <= '9') && c != '-') return false;
    }
  }
  return true;
}

/// Complains about a version that is no SemVer 1.0 to 1.3. "1.2" without a patch is taken too.
std::string version_1(std::string_view text) {
  std::string malformed = "must be a version such as 1.0.2, is " + quote(text);
  std::string_view core = text;
  if (const auto plus = core.find('+'); plus != std::string_view::npos) {
    if (!are_identifiers(core.substr(plus + 1))) return malformed;
    core = core.substr(0, plus);
  }
  if (const auto dash = core.find('-'); dash != std::string_view::npos) {
    if (!are_identifiers(core.substr(dash + 1))) return malformed;
    core = core.substr(0, dash);
  }
  const std::vector<std::string> numbers = split(core, '.');
  if (numbers.size() < 2 || numbers.size() > 3) return malformed;
  for (const std::string& number : numbers)
    if (!is_number(number)) return malformed;
  if (numbers[0] != "1" || *parse_u64(numbers[1]) > kNewestMinor)
    return "versions 1.0 to 1.3 of the runtime spec are supported, not " + quote(text);
  return {};
}

std::string host_name(std::string_view text) {
  if (text.size() > kHostNameMax)
    return "must have at most " + std::to_string(kHostNameMax) + " bytes";
  return printable(text);
}

std::string root_path(std::string_view text) {
  return text.empty() ? not_empty(text) : printable(text);
}

Result<> refuse_other_platforms(const json::Value& document) {
  static constexpr std::array<std::string_view, 4> kOthers = {"solaris", "windows", "zos",
                                                              "freebsd"};
  for (std::string_view name : kOthers)
    if (const json::Value* section = document.find(name); section != nullptr && !section->is_null())
      return fail(Errc::Unsupported, json::pointer("", name) + ": containers of this platform");
  return {};
}

}  // namespace

static Result<> read(const Node& node, Root& out) {
  Fields fields(node);
  fields.required("path", out.path, root_path);
  fields.optional("readonly", out.readonly);
  return std::move(fields).done();
}

static Result<> read(const Node& node, Mount& out) {
  Fields fields(node);
  fields.required("destination", out.destination, root_path);
  fields.optional("type", out.type, printable);
  fields.optional("source", out.source, printable);
  fields.optional("options", out.options, printable);
  fields.optional("uidMappings", out.uid_mappings);
  fields.optional("gidMappings", out.gid_mappings);
  if (out.uid_mappings.empty() != out.gid_mappings.empty())
    fields.refuse(out.uid_mappings.empty() ? "gidMappings" : "uidMappings",
                  "uidMappings and gidMappings must be given together");
  // Deprecated relative destinations are relative to "/" (config.md, "Mounts").
  if (!out.destination.starts_with('/')) out.destination.insert(0, "/");
  return std::move(fields).done();
}

static Result<> read(const Node& node, Hook& out) {
  Fields fields(node);
  fields.required("path", out.path, absolute_path);
  fields.optional("args", out.args);
  fields.optional("env", out.env, env_entry);
  fields.optional("timeout", out.timeout, Range{1, std::numeric_limits<int>::max()});
  return std::move(fields).done();
}

static Result<> read(const Node& node, Hooks& out) {
  Fields fields(node);
  fields.optional("prestart", out.prestart);
  fields.optional("createRuntime", out.create_runtime);
  fields.optional("createContainer", out.create_container);
  fields.optional("startContainer", out.start_container);
  fields.optional("poststart", out.poststart);
  fields.optional("poststop", out.poststop);
  return std::move(fields).done();
}

Result<Spec> read_spec(const json::Value& document, const VersionPolicy& policy, Known* known) {
  const Node node(document, "", Errc::InvalidSpec, known);
  Spec spec;
  Fields fields(node);
  fields.required("ociVersion", spec.oci_version, version_1);
  if (!policy.exactly.empty() && spec.oci_version != policy.exactly)
    fields.refuse("ociVersion", "the configuration allows only version " + quote(policy.exactly) +
                                    ", this is " + quote(spec.oci_version));
  if (fields.good()) NX_CHECK(refuse_other_platforms(document));
  fields.optional("process", spec.process);
  fields.optional("root", spec.root);
  fields.optional("hostname", spec.hostname, host_name);
  fields.optional("domainname", spec.domainname, host_name);
  fields.optional("mounts", spec.mounts);
  fields.optional("hooks", spec.hooks);
  fields.optional("annotations", spec.annotations, Keys{not_empty});
  fields.optional("linux", spec.linux_);
  fields.optional("vm", spec.vm);
  NX_CHECK(std::move(fields).done());
  return spec;
}

Result<Spec> parse_spec(const json::Value& document, const VersionPolicy& policy) {
  NX_TRY(Spec spec, read_spec(document, policy, nullptr));
  spec.document = document;
  return spec;
}

}  // namespace nexcage::oci
