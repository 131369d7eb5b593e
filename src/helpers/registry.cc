// Talking to registries, as a confined process: `image pull`, `push` and `login`.
#include <fcntl.h>

#include <csignal>

#include "nexcage/helpers/confine.h"
#include "nexcage/helpers/subcommand.h"
#include "nexcage/registry/client/pull.h"

namespace nexcage::helpers {

namespace {

namespace client = registry::client;

constexpr int kEventsFd = 5;

/// What name resolution and the system's certificates need. Symlinks among them lead to others of
/// these.
const std::vector<std::string> kForTheNetwork = {"/etc/resolv.conf",
                                                 "/run/systemd/resolve",
                                                 "/run/resolvconf",
                                                 "/run/NetworkManager",
                                                 "/etc/hosts",
                                                 "/etc/host.conf",
                                                 "/etc/gai.conf",
                                                 "/etc/nsswitch.conf",
                                                 "/etc/services",
                                                 "/etc/ssl",
                                                 "/etc/pki",
                                                 "/etc/ca-certificates",
                                                 "/usr/share/ca-certificates",
                                                 "/usr/local/share/ca-certificates",
                                                 "/lib",
                                                 "/lib64",
                                                 "/usr/lib",
                                                 "/usr/lib64",
                                                 "/proc/sys/kernel/random",
                                                 "/dev/urandom"};

Result<> confine_to(const std::string& images, std::vector<std::string> writable) {
  // A peer that closes its connection is an error of that connection.
  if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return fail_errno("ignore SIGPIPE");
  Confinement keep{.read_only = kForTheNetwork,
                   .read_write = std::move(writable),
                   .capabilities = 0,
                   .network = Network::client};
  keep.read_only.push_back(images + "/blobs");
  return confine(keep);
}

client::Events events() {
  return client::Events(::fcntl(kEventsFd, F_GETFD) >= 0 ? kEventsFd : -1);
}

}  // namespace

Result<json::Value> run_pull(const json::Value& request) {
  NX_TRY(client::PullRequest pull, client::parse_pull_request(request));
  NX_CHECK(client::load_http());
  NX_TRY(client::PullPlace place, client::prepare_pull(pull));
  NX_CHECK(confine_to(pull.images, {pull.images + "/" + std::string(client::kStagingDir)}),
           "confine the puller");
  client::Events told = events();
  return client::run_pull(pull, std::move(place), told);
}

}  // namespace nexcage::helpers
