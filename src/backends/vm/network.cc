#include "nexcage/backends/vm/network.h"

namespace nexcage::backends::vm {

Result<GuestNetwork> connect_guest(const std::string& path) {
  GuestNetwork out;
  if (path.empty()) return out;
  return fail(Errc::Unsupported, "linux.namespaces: a network namespace by path");
}

}  // namespace nexcage::backends::vm
