// Places where a test can hold the process, to kill it there. Compiled in only with
// NEXCAGE_TESTPOINTS (the sanitizer builds that the tests run); a release binary has none.
#pragma once

#include <string_view>

namespace nexcage {

#ifdef NEXCAGE_TESTPOINTS
/// Stops the whole process with SIGSTOP when the environment's NEXCAGE_TESTPOINT names this place.
void testpoint(std::string_view name);
#else
inline void testpoint(std::string_view) {}
#endif

}  // namespace nexcage
