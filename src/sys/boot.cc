#include "nexcage/sys/boot.h"

#include <fcntl.h>

#include "nexcage/base/text.h"
#include "nexcage/sys/fs.h"

namespace nexcage::sys {

Result<std::string> boot_id() {
  static const Result<std::string> known = [] -> Result<std::string> {
    NX_TRY(const std::string text, read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id"));
    return std::string(trim(text));
  }();
  return known;
}

}  // namespace nexcage::sys
