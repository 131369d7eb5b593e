#include "nexcage/vm/boot/bzimage.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace nexcage::vm::boot {
namespace {

// Offsets of the setup header.
constexpr std::size_t kSetupSectors = 0x1f1, kMagic = 0x202, kVersion = 0x206,
                      kPayloadOffset = 0x248, kPayloadLength = 0x24c, kHeaderEnd = 0x250;
constexpr std::size_t kSector = 512;

template <class T>
T number_at(std::string_view image, std::size_t offset) {
  T value{};
  std::memcpy(&value, image.data() + offset, sizeof value);
  return value;
}

struct Format {
  std::string_view magic, program;
  bool size_appended;  // the build puts the kernel's size behind it, which the program would refuse
};
constexpr std::array kFormats = {
    Format{std::string_view("\x02\x21\x4c\x18", 4), "lz4", true},
    Format{std::string_view("\x1f\x8b", 2), "gzip", false},
    Format{std::string_view("\x28\xb5\x2f\xfd", 4), "zstd", true},
    Format{std::string_view("\xfd"
                            "7zXZ",
                            5),
           "xz", true},
};

}  // namespace

Result<Payload> find_payload(std::string_view image) {
  if (image.size() < kHeaderEnd || image.substr(kMagic, 4) != "HdrS" ||
      number_at<std::uint16_t>(image, kVersion) < 0x208)
    return fail(Errc::InvalidImage, "no bzImage");
  std::size_t sectors = number_at<std::uint8_t>(image, kSetupSectors);
  if (sectors == 0) sectors = 4;
  const std::size_t begin =
      (sectors + 1) * kSector + number_at<std::uint32_t>(image, kPayloadOffset);
  const std::size_t length = number_at<std::uint32_t>(image, kPayloadLength);
  constexpr std::size_t kAppended = 4;
  if (begin > image.size() || length > image.size() - begin || length <= kAppended)
    return fail(Errc::InvalidImage, "a bzImage that is cut off");
  const std::string_view payload = image.substr(begin, length);
  for (const Format& format : kFormats)
    if (payload.starts_with(format.magic))
      return Payload{.program = format.program,
                     .bytes = payload.substr(0, length - (format.size_appended ? kAppended : 0))};
  return fail(Errc::Unsupported, "the compression of this kernel");
}

}  // namespace nexcage::vm::boot
