#include "nexcage/image/import.h"

#include <array>

#include "nexcage/base/text.h"
#include "nexcage/image/helper.h"

namespace nexcage::image {

namespace {

struct Transport {
  std::string_view name;
  SourceKind kind;
  bool has_reference;
};
constexpr std::array kTransports = {
    Transport{"oci", SourceKind::oci, true},
    Transport{"oci-archive", SourceKind::oci_archive, true},
    Transport{"docker-archive", SourceKind::docker_archive, true},
    Transport{"rootfs", SourceKind::rootfs, false},
};

std::unexpected<Error> bad_source(std::string_view text, const std::string& why) {
  return fail(Error(Errc::InvalidSpec, "image source " + quote(text) + ": " + why)
                  .hint("write oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF] or "
                        "rootfs:FILE.tar[.gz|.zst]"));
}

json::Value to_json(const std::vector<std::string>& texts) {
  json::Array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

std::vector<std::string> texts_at(const json::Value& value, std::string_view name) {
  std::vector<std::string> texts;
  const json::Value* member = value.find(name);
  const json::Array* array = member != nullptr ? member->if_array() : nullptr;
  if (array == nullptr) return texts;
  for (const json::Value& element : *array)
    if (const std::string* text = element.if_string()) texts.push_back(*text);
  return texts;
}

}  // namespace

std::string ImportSource::str() const {
  for (const Transport& transport : kTransports)
    if (transport.kind == kind)
      return std::string(transport.name) + ":" + path + (reference.empty() ? "" : ":" + reference);
  return path;
}

Result<ImportSource> parse_source(std::string_view text) {
  auto colon = text.find(':');
  if (colon == std::string_view::npos) return bad_source(text, "names no transport");
  for (const Transport& transport : kTransports) {
    if (text.substr(0, colon) != transport.name) continue;
    std::string_view rest = text.substr(colon + 1);
    auto second = transport.has_reference ? rest.find(':') : std::string_view::npos;
    ImportSource source{
        .kind = transport.kind, .path = std::string(rest.substr(0, second)), .reference = {}};
    if (second != std::string_view::npos) source.reference = rest.substr(second + 1);
    if (source.path.empty()) return bad_source(text, "names no file");
    if (second != std::string_view::npos && source.reference.empty())
      return bad_source(text, "ends with a colon");
    return source;
  }
  return bad_source(text, "unknown transport " + quote(text.substr(0, colon)));
}

json::Value to_json(const ImportRequest& request) {
  json::Object rootfs;
  rootfs.set("entrypoint", to_json(request.rootfs.entrypoint));
  rootfs.set("cmd", to_json(request.rootfs.cmd));
  rootfs.set("env", to_json(request.rootfs.env));
  rootfs.set("user", request.rootfs.user);
  rootfs.set("workingDir", request.rootfs.working_dir);
  json::Object out;
  out.set("source", request.source.str());
  if (request.name) out.set("name", request.name->str());
  out.set("rootfs", std::move(rootfs));
  return out;
}

Result<ImportRequest> parse_import_request(const json::Value& value) {
  ImportRequest request;
  NX_TRY(request.source, parse_source(value.text("source")));
  if (std::string name = value.text("name"); !name.empty()) {
    NX_TRY(request.name, oci::Reference::parse(name));
  }
  if (const json::Value* rootfs = value.find("rootfs")) {
    request.rootfs = {.entrypoint = texts_at(*rootfs, "entrypoint"),
                      .cmd = texts_at(*rootfs, "cmd"),
                      .env = texts_at(*rootfs, "env"),
                      .user = rootfs->text("user"),
                      .working_dir = rootfs->text("workingDir")};
  }
  return request;
}

Result<Image> import_image(const ImportRequest& request, const std::string& libexec_dir,
                           Store& store) {
  json::Object message;
  message.set("root", store.root());
  message.set("import", to_json(request));
  std::string what = "import " + request.source.str();
  NX_TRY(json::Value answer, call_helper(libexec_dir, "import", std::move(message)), what);
  NX_TRY(Image image, store.resolve(answer.text("manifest")), what);
  return image;
}

}  // namespace nexcage::image
