#include "nexcage/base/testpoint.h"

#ifdef NEXCAGE_TESTPOINTS

#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace nexcage {

void testpoint(std::string_view name) {
  const char* wanted = std::getenv("NEXCAGE_TESTPOINT");
  if (wanted != nullptr && name == wanted) (void)::kill(::getpid(), SIGSTOP);
}

}  // namespace nexcage

#endif
