// Writes the requests that random specs become, one JSON object a line, for test_requests.py, which
// checks them against the schema of the API: {"9.2": {...}, "8.4": {...}}.
#include <cstdio>

#include "guest_spec_maker.h"
#include "nexcage/json/value.h"
#include "nexcage/pve/settings.h"

namespace {

using namespace nexcage;

json::Value object_of(const pve::Params& params) {
  json::Object out;
  for (const auto& [name, value] : params) out.set(name, value);
  return out;
}

/// What the image of a guest would have to say so that a release without `entrypoint` runs this.
Result<pve::Baked> baked_for(const oci::Spec& spec, const pve::Params& params) {
  const std::string variable = std::string(pve::kLaunchVariable) + "=";
  for (const std::string& entry : pve::split_env(params.at("env"))) {
    if (!entry.starts_with(variable)) continue;
    NX_TRY(pve::Launch launch, pve::decode_text(entry.substr(variable.size())));
    launch.env.clear();
    return pve::Baked{.launch = std::move(launch), .env = spec.process->env};
  }
  return fail(Errc::InvalidConfig, "the request has no " + variable);
}

Result<json::Object> requests_of(const oci::Spec& spec) {
  NX_TRY(const pve::Mapped now, pve::to_settings(spec, {.version = {9, 2}}));
  NX_TRY(pve::Baked baked, baked_for(spec, now.params));
  NX_TRY(const pve::Mapped then,
         pve::to_settings(spec, {.version = {8, 4}, .baked = std::move(baked)}));
  json::Object line;
  line.set("9.2", object_of(now.params));
  line.set("8.4", object_of(then.params));
  return line;
}

}  // namespace

int main() {
  constexpr unsigned kCount = 500;
  for (unsigned seed = 1; seed <= kCount; ++seed) {
    auto line = requests_of(nexcage::testing::GuestSpecMaker(seed).make());
    if (!line) {
      (void)std::fprintf(stderr, "seed %u: %s\n", seed, line.error().message().c_str());
      return 1;
    }
    (void)std::puts(json::dump(*std::move(line)).c_str());
  }
  return 0;
}
