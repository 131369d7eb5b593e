#include "nexcage/layerfs/convert_protocol.h"

#include <array>
#include <string>
#include <utility>

#include "nexcage/layerfs/message.h"

namespace nexcage::layerfs {
namespace {

constexpr const char* kWhat = "convert";
constexpr std::array<std::string_view, 4> kForms = {"merged", "index", "full", "plain"};

Result<ConvertForm> read_form(const Message& message) {
  NX_TRY(const std::string word, message.text("form"));
  for (std::size_t i = 0; i < kForms.size(); ++i)
    if (kForms[i] == word) return static_cast<ConvertForm>(i);
  return fail(message.bad("form"));
}

bool outputs_fit(const ConvertJob& job) {
  switch (job.form) {
    case ConvertForm::merged:
    case ConvertForm::full:
      return job.outputs.size() == 1;
    case ConvertForm::index:
      return job.outputs.size() == job.layers.size();
    case ConvertForm::plain:
      return job.outputs.size() <= 1;
  }
  return false;
}

Result<ConvertJob::LayerIn> read_layer(const Message& message) {
  NX_TRY(std::string blob_path, message.text("blob"));
  NX_TRY(const oci::Compression compression, message.compression("compression"));
  NX_TRY(oci::Digest digest, message.digest("digest"));
  NX_TRY(oci::Digest diff_id, message.digest("diff_id"));
  NX_TRY(const std::uint64_t size, message.number("size"));
  NX_TRY(std::string tar_path, message.text("tar"));
  NX_TRY(const bool tar_is_there, message.boolean("tar_is_there"));
  return ConvertJob::LayerIn{.blob_path = std::move(blob_path),
                             .compression = compression,
                             .digest = std::move(digest),
                             .diff_id = std::move(diff_id),
                             .size = size,
                             .tar_path = std::move(tar_path),
                             .tar_is_there = tar_is_there};
}

Result<ConvertResult::LayerOut> read_layer_out(const Message& message) {
  ConvertResult::LayerOut layer;
  NX_TRY(layer.tar_bytes, message.number("tar_bytes"));
  NX_TRY(layer.entries, message.number("entries"));
  NX_TRY(layer.file_bytes, message.number("file_bytes"));
  NX_TRY(layer.root_opaque, message.boolean("root_opaque"));
  return layer;
}

Result<ConvertResult::Output> read_output(const Message& message) {
  ConvertResult::Output output;
  if (message.has("digest")) {
    NX_TRY(output.digest, message.digest("digest"));
  }
  NX_TRY(output.bytes, message.number("bytes"));
  NX_TRY(output.devices, message.numbers("devices"));
  return output;
}

}  // namespace

std::string_view form_name(ConvertForm form) { return kForms.at(static_cast<std::size_t>(form)); }

json::Value to_json(const ConvertJob& job) {
  json::Array layers;
  layers.reserve(job.layers.size());
  for (const ConvertJob::LayerIn& layer : job.layers) {
    json::Object object;
    object.set("blob", layer.blob_path);
    object.set("compression", compression_name(layer.compression));
    object.set("digest", layer.digest.str());
    object.set("diff_id", layer.diff_id.str());
    object.set("size", layer.size);
    object.set("tar", layer.tar_path);
    object.set("tar_is_there", layer.tar_is_there);
    layers.emplace_back(std::move(object));
  }
  json::Object object;
  object.set("layers", std::move(layers));
  object.set("form", form_name(job.form));
  object.set("outputs", to_json(job.outputs));
  return object;
}

json::Value to_json(const ConvertResult& result) {
  json::Array layers;
  layers.reserve(result.layers.size());
  for (const ConvertResult::LayerOut& layer : result.layers) {
    json::Object object;
    object.set("tar_bytes", layer.tar_bytes);
    object.set("entries", layer.entries);
    object.set("file_bytes", layer.file_bytes);
    object.set("root_opaque", layer.root_opaque);
    layers.emplace_back(std::move(object));
  }
  json::Array outputs;
  outputs.reserve(result.outputs.size());
  for (const ConvertResult::Output& output : result.outputs) {
    json::Object object;
    if (output.digest) object.set("digest", output.digest->str());
    object.set("bytes", output.bytes);
    json::Array devices;
    for (const std::uint32_t device : output.devices) devices.emplace_back(device);
    object.set("devices", std::move(devices));
    outputs.emplace_back(std::move(object));
  }
  json::Object object;
  object.set("layers", std::move(layers));
  object.set("outputs", std::move(outputs));
  return object;
}

Result<ConvertJob> convert_job_from_json(const json::Value& value) {
  const Message message(value, kWhat);
  ConvertJob job;
  NX_TRY(job.form, read_form(message));
  NX_TRY(job.outputs, message.texts("outputs"));
  NX_TRY(const std::vector<Message> layers, message.items("layers"));
  for (const Message& layer : layers) {
    NX_TRY(ConvertJob::LayerIn in, read_layer(layer));
    job.layers.push_back(std::move(in));
  }
  if (!outputs_fit(job)) return fail(message.bad("outputs"));
  return job;
}

Result<ConvertResult> convert_result_from_json(const json::Value& value) {
  const Message message(value, kWhat);
  ConvertResult result;
  NX_TRY(const std::vector<Message> layers, message.items("layers"));
  for (const Message& layer : layers) {
    NX_TRY(const ConvertResult::LayerOut out, read_layer_out(layer));
    result.layers.push_back(out);
  }
  NX_TRY(const std::vector<Message> outputs, message.items("outputs"));
  for (const Message& one : outputs) {
    NX_TRY(ConvertResult::Output output, read_output(one));
    result.outputs.push_back(std::move(output));
  }
  return result;
}

}  // namespace nexcage::layerfs
