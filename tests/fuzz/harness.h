// What the fuzz harnesses share. A harness feeds one input to a parser and checks what must hold
// for every input that is accepted; a broken invariant ends the process, as a crash would.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "nexcage/json/value.h"

/// Opens the definition of the harness `name`: `data` and `size` are the input. It is libFuzzer's
/// entry point in a fuzzer, and an ordinary function where all harnesses run over their seeds.
#ifdef NX_FUZZER
#define NX_HARNESS(name)                                                             \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size); \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
#else
#define NX_HARNESS(name)                                       \
  int fuzz_##name(const std::uint8_t* data, std::size_t size); \
  int fuzz_##name(const std::uint8_t* data, std::size_t size)
#endif

namespace nexcage::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Ends the process when an invariant does not hold.
inline void check(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "broken invariant: %s\n", invariant);
  std::abort();
}

/// An error has a message of one line without control characters: it goes to terminals and logs.
inline void check_message(const Error& error) {
  const std::string message = error.message();
  check(!message.empty(), "an error says something");
  for (const char c : message)
    check(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f,
          "messages hold no control characters");
}

}  // namespace nexcage::fuzz
