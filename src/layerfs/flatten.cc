#include "nexcage/layerfs/flatten.h"

#include "nexcage/image/helper.h"
#include "nexcage/layerfs/convert_protocol.h"

namespace nexcage::layerfs {

json::Value to_json(const FlattenJob& job) {
  json::Array extras;
  for (const FlattenJob::Extra& extra : job.extras) {
    json::Object one;
    one.set("path", extra.path);
    one.set("file", extra.file);
    one.set("text", extra.text);
    one.set("link", extra.link);
    one.set("mode", extra.mode);
    extras.emplace_back(std::move(one));
  }
  json::Object out;
  out.set("stack", to_json(job.stack));
  out.set("output", job.output);
  out.set("accounts", job.accounts);
  out.set("extras", std::move(extras));
  return out;
}

Result<FlattenJob> flatten_job_from_json(const json::Value& value) {
  const json::Value* stack = value.find("stack");
  const json::Value* extras = value.find("extras");
  if (stack == nullptr || extras == nullptr || extras->if_array() == nullptr)
    return fail(Errc::InvalidJson, "flatten: stack or extras are missing");
  FlattenJob job{.stack = {},
                 .output = value.text("output"),
                 .accounts = value.text("accounts"),
                 .extras = {}};
  NX_TRY(job.stack, convert_job_from_json(*stack));
  for (const json::Value& one : *extras->if_array()) {
    const json::Value* mode = one.find("mode");
    job.extras.push_back(
        {.path = one.text("path"),
         .file = one.text("file"),
         .text = one.text("text"),
         .link = one.text("link"),
         .mode = static_cast<std::uint32_t>(mode ? mode->as_u64().value_or(0644) : 0644)});
  }
  return job;
}

Result<Flattened> flatten(const std::string& libexec_dir, const FlattenJob& job) {
  NX_TRY(const json::Value answer, image::call_helper(libexec_dir, "flatten", to_json(job)));
  if (job.output.empty()) return Flattened{};
  const auto number = [&](std::string_view name) {
    const json::Value* member = answer.find(name);
    return member != nullptr ? member->as_u64().value_or(0) : 0;
  };
  return Flattened{
      .sha256 = answer.text("sha256"), .bytes = number("bytes"), .unpacked = number("unpacked")};
}

}  // namespace nexcage::layerfs
