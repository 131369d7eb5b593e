#include <elf.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "nexcage/sys/fs.h"
#include "nexcage/vm/boot/bzimage.h"
#include "nexcage/vm/boot/cpio.h"
#include "nexcage/vm/boot/kernel.h"
#include "nexcage/vm/boot/modules.h"
#include "nexcage/vm/boot/slim.h"
#include "result_matchers.h"

namespace nexcage::vm::boot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Cpio, is_newc_with_everything_at_multiples_of_four) {
  CpioWriter writer;
  writer.directory("bin", 0755);
  writer.file("bin/x", 0644, "hello");
  const std::string archive = std::move(writer).finish();
  EXPECT_EQ(archive.size() % 4, 0u);
  EXPECT_EQ(archive.substr(0, 110),
            "070701"
            "00000001"
            "000041ED"
            "00000000"
            "00000000"
            "00000002"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000004"
            "00000000");
  EXPECT_EQ(archive.substr(110, 6), std::string("bin\0\0\0", 6));
  EXPECT_EQ(archive.substr(116, 6), "070701");
  EXPECT_EQ(archive.substr(116 + 14, 8), "000081A4");
  EXPECT_EQ(archive.substr(116 + 54, 8), "00000005");
  EXPECT_EQ(archive.substr(116 + 110, 6), std::string("bin/x\0", 6));
  EXPECT_EQ(archive.substr(116 + 116, 8), std::string("hello\0\0\0", 8));
  EXPECT_THAT(archive, HasSubstr("TRAILER!!!"));
}

constexpr std::string_view kDep =
    "kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio_ring.ko "
    "kernel/drivers/virtio/virtio.ko\n"
    "kernel/drivers/virtio/virtio.ko:\n"
    "kernel/fs/erofs/erofs.ko.xz: kernel/lib/libcrc32c.ko.xz\n"
    "kernel/crypto/crc32c_generic.ko.xz:\n"
    "kernel/drivers/net/virtio-net.ko:\n";

TEST(Modules, are_loaded_after_what_they_need) {
  const std::array<std::string_view, 4> wanted = {"virtio_blk", "ext4", "erofs", "virtio_net"};
  const auto modules = plan_modules(kDep, wanted);
  ASSERT_OK(modules);
  ASSERT_EQ(modules->size(), 3u);  // ext4 is built in
  EXPECT_THAT(modules->at(0).files,
              ElementsAre("kernel/drivers/virtio/virtio.ko", "kernel/drivers/virtio/virtio_ring.ko",
                          "kernel/drivers/block/virtio_blk.ko"));
  EXPECT_EQ(module_list(*modules),
            "virtio_blk virtio.ko virtio_ring.ko virtio_blk.ko\n"
            "erofs crc32c_generic.ko libcrc32c.ko erofs.ko\n"
            "virtio_net virtio-net.ko\n");
  EXPECT_ERROR(plan_modules("nonsense\n", wanted), Errc::FileError, HasSubstr("nonsense"));
}

/// A bzImage with this payload behind one sector of setup.
std::string bzimage(std::string_view payload) {
  std::string image(std::size_t{2} * 512, '\0');
  image[0x1f1] = 1;
  image.replace(0x202, 4, "HdrS");
  image.replace(0x206, 2, "\x0f\x02");
  image[0x248] = 16;
  image[0x24c] = static_cast<char>(payload.size());
  image += std::string(16, 'c');
  image += payload;
  return image + "behind";
}

TEST(BzImage, holds_its_kernel_where_the_header_says) {
  const std::string lz4 = bzimage(std::string_view("\x02\x21\x4c\x18kernelSIZE", 14));
  const auto payload = find_payload(lz4);
  ASSERT_OK(payload);
  EXPECT_EQ(payload->program, "lz4");
  EXPECT_EQ(payload->bytes, std::string_view("\x02\x21\x4c\x18kernel"));
  const std::string gzip = bzimage("\x1f\x8bkernel");
  EXPECT_EQ(find_payload(gzip)->bytes, "\x1f\x8bkernel");
}

TEST(BzImage, other_files_are_refused) {
  EXPECT_ERROR(find_payload("short"), Errc::InvalidImage, HasSubstr("no bzImage"));
  EXPECT_ERROR(find_payload(std::string(4096, 'x')), Errc::InvalidImage, HasSubstr("no bzImage"));
  EXPECT_ERROR(find_payload(bzimage("unknown")), Errc::Unsupported, HasSubstr("compression"));
  const std::string image = bzimage("\x1f\x8bkernel");
  EXPECT_ERROR(find_payload(image.substr(0, 1045)), Errc::InvalidImage, HasSubstr("cut off"));
}

/// An ELF object of two sections: the names, and one of this name.
std::string object(const std::string& name) {
  const std::string names = std::string(1, '\0') + name + '\0';
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_shoff = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 2;
  std::array<Elf64_Shdr, 2> sections{};
  sections[0].sh_offset = sizeof header + sizeof sections;
  sections[0].sh_size = names.size();
  sections[1].sh_name = 1;
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) +
         std::string(reinterpret_cast<const char*>(&sections), sizeof sections) + names;
}

std::uint32_t name_of_second(const std::string& file) {
  Elf64_Shdr section;
  std::memcpy(&section, file.data() + sizeof(Elf64_Ehdr) + sizeof section, sizeof section);
  return section.sh_name;
}

TEST(SlimModule, has_no_signature_and_no_type_information) {
  const std::string module = object(".BTF");
  const std::string info("\0\0\2\0\0\0\0\0\0\0\0\3", 12);
  const std::string slim = slim_module(module + "sig" + info + "~Module signature appended~\n");
  EXPECT_EQ(slim.size(), module.size());
  EXPECT_EQ(name_of_second(slim), 0u);
  EXPECT_EQ(slim_module(object(".text")), object(".text"));
}

TEST(SlimModule, leaves_alone_what_is_damaged) {
  const std::string info("\0\0\2\0\0\0\0\0\xff\xff\xff\xff", 12);
  for (const std::string& file :
       {std::string(), std::string("text"), "x" + info + "~Module signature appended~\n",
        std::string("~Module signature appended~\n"), object(".BTF").substr(0, 70)})
    EXPECT_EQ(slim_module(file), file);
}

TEST(Initrd, has_the_archives_of_the_file_systems_that_are_needed_and_the_agent_last) {
  auto dir = sys::TempDir::create("/tmp", "nxtest");
  ASSERT_OK(dir);
  const std::string initrd = dir->path() + "/initrd", init = dir->path() + "/init";
  const auto write = [](const std::string& path, std::string_view text) {
    return sys::write_file_atomic(path, text, 0600, sys::Durable::no);
  };
  ASSERT_OK(write(initrd, "FIRST"));
  ASSERT_OK(write(archive_apart(initrd, "xfs"), "SECOND"));
  ASSERT_OK(write(init, "AGENT"));
  const auto bytes_with = [&](const std::vector<std::string>& file_systems) {
    const auto file = assemble_initrd(initrd, init, file_systems);
    return file ? sys::read_all(file->get(), 1u << 20).value_or("") : std::string();
  };
  EXPECT_TRUE(
      bytes_with({"ext4"}).starts_with(std::string("FIRST\0\0\0"
                                                   "070701",
                                                   14)));
  EXPECT_TRUE(bytes_with({"ext4", "xfs"})
                  .starts_with(std::string("FIRST\0\0\0SECOND\0\0"
                                           "070701",
                                           22)));
  EXPECT_THAT(bytes_with({}), HasSubstr("AGENT"));
}

TEST(Kernel, that_is_missing_names_the_command_that_prepares_one) {
  const auto kernel = find_kernel("/nonexistent");
  EXPECT_ERROR(kernel, Errc::RuntimeNotAvailable, HasSubstr("no kernel"));
  EXPECT_THAT(kernel.error().hint(), HasSubstr("nexcage vm setup"));
}

}  // namespace
}  // namespace nexcage::vm::boot
