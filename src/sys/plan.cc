#include "nexcage/sys/plan.h"

#include "nexcage/sys/plan_codec.h"
#include "nexcage/sys/plan_message.h"

namespace nexcage::sys::plan {
namespace {

/// Changes with every change of the format: a helper of another build is refused, not misread.
constexpr std::uint32_t kMagic = 0x4e585032;  // "NXP2"

}  // namespace

std::string encode(const Plan& plan) {
  Writer writer;
  writer.put(kMagic);
  writer.put(plan.operations);
  writer.put(plan.process);
  return writer.take();
}

Result<Plan> decode(std::string_view bytes) {
  Reader reader(bytes);
  std::uint32_t magic = 0;
  reader.get(magic);
  if (magic != kMagic) return fail(Errc::InvalidConfig, "the plan is of another version");
  Plan plan;
  reader.get(plan.operations);
  reader.get(plan.process);
  if (!reader.complete()) return fail(Errc::InvalidConfig, "the plan is damaged");
  return plan;
}

std::string encode(const Failure& failure) {
  Writer writer;
  writer.put(failure);
  return writer.take();
}

Result<Failure> decode_failure(std::string_view bytes) {
  Reader reader(bytes);
  Failure failure;
  reader.get(failure);
  if (!reader.complete()) return fail(Errc::InvalidConfig, "the failure report is damaged");
  return failure;
}

}  // namespace nexcage::sys::plan
