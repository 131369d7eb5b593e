#include "nexcage/oci/state.h"

#include <array>
#include <limits>

#include "nexcage/base/text.h"
#include "nexcage/oci/fields.h"

namespace nexcage::oci {
namespace {

/// In the order of Status.
constexpr std::array<std::string_view, 5> kStatusNames = {"creating", "created", "running",
                                                          "paused", "stopped"};
constexpr std::size_t kMaxId = 255;  // NAME_MAX: the id is a directory's name

bool is_id_character(char c) {
  const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  return letter || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '.' || c == '-';
}

}  // namespace

std::string_view status_name(Status status) {
  return kStatusNames.at(static_cast<std::size_t>(status));
}

Result<Status> parse_status(std::string_view text) {
  for (std::size_t i = 0; i < kStatusNames.size(); ++i)
    if (kStatusNames[i] == text) return static_cast<Status>(i);
  return fail(Errc::InvalidState, OneOf{kStatusNames}(text));
}

json::Value to_json(const State& state) {
  json::Object out;
  out.append("ociVersion", state.oci_version);
  out.append("id", state.id);
  out.append("status", status_name(state.status));
  out.append("pid", state.pid);
  out.append("bundle", state.bundle);
  if (!state.annotations.empty()) {
    json::Object annotations;
    for (const auto& [name, value] : state.annotations) annotations.append(name, value);
    out.append("annotations", std::move(annotations));
  }
  return out;
}

Result<State> parse_state(const json::Value& value) {
  const Node node(value, "", Errc::InvalidState);
  State state;
  std::string status;
  Fields fields(node);
  fields.required("ociVersion", state.oci_version, not_empty);
  fields.required("id", state.id);
  fields.required("status", status, OneOf{kStatusNames});
  fields.optional("pid", state.pid, Range{0, std::numeric_limits<int>::max()});
  fields.required("bundle", state.bundle, absolute_path);
  fields.optional("annotations", state.annotations, Keys{not_empty});
  NX_CHECK(std::move(fields).done());
  NX_CHECK(check_container_id(state.id), "/id");
  NX_TRY(state.status, parse_status(status));
  return state;
}

Result<> check_container_id(std::string_view id) {
  const auto bad = [&](const std::string& why) {
    return fail(Error(Errc::InvalidSpec, "container id " + quote(id) + " " + why)
                    .hint("use 1 to 255 letters, digits and _ + . -"));
  };
  if (id.empty()) return bad("is empty");
  if (id.size() > kMaxId) return bad("has more than 255 characters");
  if (id == "." || id == "..") return bad("is a directory's own name");
  for (char c : id)
    if (!is_id_character(c)) return bad("holds " + quote(std::string_view(&c, 1)));
  return {};
}

}  // namespace nexcage::oci
