// The API of a Proxmox VE cluster, however it is reached.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/pve/settings.h"

namespace nexcage::backends::proxmox {

class Api {
 public:
  Api() = default;
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;
  virtual ~Api() = default;
  /// The member `data` of the answer. Errors are those of pve::parse_answer, and those of the way.
  virtual Result<json::Value> call(const std::string& method, const std::string& path,
                                   const pve::Params& params) = 0;
  /// Follows a task to its end; its log goes to ours. ProxmoxError with its last words.
  virtual Result<> wait(const std::string& upid) = 0;
  struct File {
    std::string path;     // here
    std::string name;     // there
    std::string content;  // "vztmpl", "import"
    std::string sha256;
  };
  /// Brings a file onto a storage; waits for the end.
  virtual Result<> upload(const std::string& node, const std::string& storage,
                          const File& file) = 0;
  /// True on a node itself, as root: what only root@pam may do is possible.
  virtual bool is_local() const = 0;
  /// The name of the node that this is; empty when is_local() is false.
  virtual std::string node() const { return {}; }
  /// For messages: "https://host:8006", "this node".
  virtual std::string place() const = 0;

  /// A request that starts a task, to the end of the task.
  Result<> run(const std::string& method, const std::string& path, const pve::Params& params);
};

/// Over `{libexec}/pve`, which is started with the first call.
std::unique_ptr<Api> helper_api(const std::string& libexec, const ProxmoxSetup& setup);
/// With pvesh on the node `node`. It reads, starts, stops, removes and changes guests; what it
/// cannot do is refused as Unsupported: uploads, and values with NUL in them, as variables have.
std::unique_ptr<Api> local_api(std::string node);
/// local_api on a node when no host is configured, else helper_api. ConfigError when there is
/// neither a node nor a host.
Result<std::unique_ptr<Api>> open_api(const std::string& libexec, const ProxmoxSetup& setup);

}  // namespace nexcage::backends::proxmox
