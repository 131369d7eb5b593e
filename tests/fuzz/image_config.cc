// Image configurations: what strangers say of the process must be safe to hand on.
#include "harness.h"
#include "nexcage/oci/image.h"

namespace nexcage::fuzz {

NX_HARNESS(image_config) {
  const auto value = json::parse(text_of(data, size));
  if (!value) return 0;
  const auto config = oci::parse_image_config(*value);
  if (!config) {
    check(config.error().code() == Errc::InvalidImage, "the code is InvalidImage");
    check_message(config.error());
    return 0;
  }
  check(config->document == *value, "the document is kept as it came");
  check(!config->platform.os.empty() && !config->platform.architecture.empty(),
        "the platform is named");
  for (const std::string& entry : config->config.env) {
    const std::size_t equals = entry.find('=');
    check(equals != std::string::npos && equals > 0, "env is NAME=value");
    check(entry.find('\0') == std::string::npos, "env holds no NUL");
    for (const char c : entry.substr(0, equals))
      check(static_cast<unsigned char>(c) >= 0x20, "names hold no control characters");
  }
  for (const char c : config->config.user + config->config.working_dir + config->config.stop_signal)
    check(static_cast<unsigned char>(c) >= 0x20, "no control characters where a line is made");
  return 0;
}

}  // namespace nexcage::fuzz
