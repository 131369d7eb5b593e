#include "nexcage/registry/trust.h"

namespace nexcage::registry {
namespace {

std::unexpected<Error> refuse(const std::string& why) {
  return fail(Errc::InvalidJson, "trust: " + why);
}

Result<std::string> text(const json::Value& value, const char* name) {
  const json::Value* member = value.find(name);
  if (member == nullptr || member->if_string() == nullptr)
    return refuse(std::string(name) + " is no string");
  return *member->if_string();
}

Result<SigstoreRequirement> parse_requirement(const json::Value& value) {
  SigstoreRequirement out;
  const json::Value* keys = value.find("keys");
  const json::Array* list = keys != nullptr ? keys->if_array() : nullptr;
  if (list == nullptr || list->empty()) return refuse("a requirement has no keys");
  for (const json::Value& key : *list) {
    if (key.if_string() == nullptr) return refuse("a key is no string");
    out.keys.push_back(*key.if_string());
  }
  const json::Value* identity = value.find("identity");
  if (identity == nullptr) return refuse("a requirement has no identity");
  auto parsed = parse_signed_identity(*identity, "trust: identity");
  if (!parsed) return fail(std::move(parsed).error().as(Errc::InvalidJson));
  out.identity = *std::move(parsed);
  return out;
}

}  // namespace

json::Value to_json(const Trust& trust) {
  json::Object out;
  out.set("type", trust.requirements.empty() ? "accept" : "sigstore");
  out.set("rule", trust.rule);
  if (trust.requirements.empty()) return out;
  json::Array list;
  for (const SigstoreRequirement& requirement : trust.requirements) {
    json::Object one;
    one.set("keys", json::Array(requirement.keys.begin(), requirement.keys.end()));
    one.set("identity", to_json(requirement.identity));
    list.emplace_back(std::move(one));
  }
  out.set("requirements", std::move(list));
  return out;
}

Result<Trust> parse_trust(const json::Value& value) {
  Trust out;
  NX_TRY(const std::string type, text(value, "type"));
  NX_TRY(out.rule, text(value, "rule"));
  if (type == "accept") return out;
  if (type != "sigstore") return refuse("type is neither accept nor sigstore");
  const json::Value* member = value.find("requirements");
  const json::Array* list = member != nullptr ? member->if_array() : nullptr;
  if (list == nullptr || list->empty()) return refuse("requirements is no array with an entry");
  for (const json::Value& one : *list) {
    NX_TRY(SigstoreRequirement requirement, parse_requirement(one));
    out.requirements.push_back(std::move(requirement));
  }
  return out;
}

}  // namespace nexcage::registry
