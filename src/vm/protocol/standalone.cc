#include "nexcage/vm/protocol/standalone.h"

#include <csignal>

#include "nexcage/sys/plan_codec.h"

namespace nexcage::vm::protocol {

std::string encode(const Standalone& record) {
  sys::plan::Writer writer;
  writer.put(encode(Hello{}));
  writer.put(encode(record.prepare));
  writer.put(encode(record.exec));
  writer.put(record.stop_signal);
  writer.put(record.stop_seconds);
  return writer.take();
}

template <>
Result<Standalone> decode<Standalone>(std::string_view payload) {
  sys::plan::Reader reader(payload);
  std::string hello, prepare, exec;
  Standalone record;
  reader.get(hello);
  reader.get(prepare);
  reader.get(exec);
  reader.get(record.stop_signal);
  reader.get(record.stop_seconds);
  // The version first: what another one has behind it is not known here.
  NX_CHECK(decode<Hello>(hello), "record of a machine that stands alone");
  if (!reader.complete()) return fail(Errc::RuntimeError, "a damaged record of a machine");
  NX_TRY(record.prepare, decode<Prepare>(prepare));
  NX_TRY(record.exec, decode<Exec>(exec));
  if (record.stop_signal == 0 || record.stop_signal >= NSIG)
    return fail(Errc::RuntimeError, "no signal has number " + std::to_string(record.stop_signal));
  return record;
}

}  // namespace nexcage::vm::protocol
