// Writes the requests that random specs become, one JSON object a line, for test_requests.py, which
// checks them against the schema of the API.
#include <cstdio>

#include "guest_spec_maker.h"
#include "nexcage/json/value.h"
#include "nexcage/pve/settings.h"

int main() {
  using namespace nexcage;
  constexpr unsigned kCount = 500;
  for (unsigned seed = 1; seed <= kCount; ++seed) {
    const auto mapped =
        pve::to_settings(testing::GuestSpecMaker(seed).make(), {.version = {9, 2}, .baked = {}});
    if (!mapped) {
      (void)std::fprintf(stderr, "seed %u: %s\n", seed, mapped.error().message().c_str());
      return 1;
    }
    json::Object line;
    for (const auto& [name, value] : mapped->params) line.set(name, value);
    (void)std::puts(json::dump(std::move(line)).c_str());
  }
  return 0;
}
