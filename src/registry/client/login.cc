#include "nexcage/registry/client/login.h"

namespace nexcage::registry::client {

Result<> check_login(Remote& remote) {
  Ask ask;
  ask.target = "/v2/";
  ask.what = "log in";
  ask.limit = std::chrono::seconds(60);
  NX_TRY(const Finished done, remote.ask(ask, nullptr));
  if (done.response.ok()) return {};
  if (done.response.status == 404)
    return fail(remote.describe(
        Error(Errc::RegistryError, "HTTP status 404: no registry of API version 2"), ask.what));
  return fail(remote.refusal(done, ask.what));
}

}  // namespace nexcage::registry::client
