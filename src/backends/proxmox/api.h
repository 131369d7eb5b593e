// The API of a Proxmox VE cluster, however it is reached.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nexcage/backends/backend.h"
#include "nexcage/base/error.h"
#include "nexcage/json/value.h"
#include "nexcage/pve/settings.h"
#include "nexcage/sys/process.h"

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
    std::string sha256;   // in hexadecimal digits; empty: not known yet
  };
  /// Brings a file onto a storage; waits for the end.
  virtual Result<> upload(const std::string& node, const std::string& storage,
                          const File& file) = 0;
  /// A process of its own for one command of the helper, whose output and exit code are its own
  /// (docs/proxmox-helper.md, "exec").
  virtual Result<sys::Child> spawn(const json::Value& command) = 0;
  /// The name of the node that this machine is, where the API is asked as root@pam: what only that
  /// may do is possible, and `pct` for the node's own guests. Empty: from elsewhere.
  virtual std::string node() const { return {}; }
  bool is_local() const { return !node().empty(); }
  /// For messages: "https://host:8006", "this node".
  virtual std::string place() const = 0;

  /// A request that starts a task, to the end of the task.
  Result<> run(const std::string& method, const std::string& path, const pve::Params& params);
};

/// Over `{libexec}/pve`, which is started with the first call: the hosts of the configuration; when
/// there are none and this machine is a node, that node, as root@pam. ConfigError when there is
/// neither.
Result<std::unique_ptr<Api>> open_api(const std::string& libexec, const ProxmoxSetup& setup);

}  // namespace nexcage::backends::proxmox
