#include "nexcage/image/content/tar_reader.h"

#include <cstdio>

#include "nexcage/image/content/tar_builder.h"
#include "result_matchers.h"

namespace nexcage::image::content {
namespace {

using ::testing::HasSubstr;
using testing::octal;
using testing::pax;
using testing::pax_record;
using testing::tar_end;
using testing::tar_member;

struct ReadMember {
  TarEntry entry;
  std::string content;  // with the holes as zeros
};

Result<std::vector<ReadMember>> read_tar(const std::string& tar, const TarLimits& limits = {}) {
  MemorySource source(std::as_bytes(std::span(tar)));
  TarReader reader(source, limits);
  std::vector<ReadMember> members;
  while (true) {
    NX_TRY(auto entry, reader.next());
    if (!entry) return members;
    std::string content(entry->size, '\0');
    while (true) {
      NX_TRY(auto data, reader.read_data());
      if (!data) break;
      content.replace(data->offset, data->bytes.size(),
                      reinterpret_cast<const char*>(data->bytes.data()), data->bytes.size());
    }
    members.push_back({.entry = *std::move(entry), .content = std::move(content)});
  }
}

/// The only member of a good archive.
ReadMember read_one(const std::string& tar) {
  auto members = read_tar(tar + tar_end());
  EXPECT_OK(members);
  EXPECT_EQ(members ? members->size() : 0, 1u);
  return members && members->size() == 1 ? members->front() : ReadMember{};
}

TEST(TarReader, RegularFile) {
  ReadMember file = read_one(tar_member({.name = "etc/motd", .data = "hello"}));
  EXPECT_EQ(file.entry.type, TarType::regular);
  EXPECT_EQ(file.entry.name, "etc/motd");
  EXPECT_EQ(file.entry.mode, 0644u);
  EXPECT_EQ(file.entry.data_offset, 512u);
  EXPECT_EQ(file.content, "hello");
}

TEST(TarReader, TypesAndTheirFields) {
  auto members = read_tar(tar_member({.type = '5', .name = "dir/", .size_field = octal(77, 12)}) +
                          tar_member({.type = '1', .name = "hard", .link = "dir/a"}) +
                          tar_member({.type = '2', .name = "soft", .link = "../x"}) +
                          tar_member({.type = '3', .name = "null"}) +
                          tar_member({.type = '4', .name = "disk"}) +
                          tar_member({.type = '6', .name = "fifo"}) +
                          tar_member({.type = '\0', .name = "old/"}) + tar_end());
  ASSERT_OK(members);
  ASSERT_EQ(members->size(), 7u);
  const auto& m = *members;
  EXPECT_EQ(m[0].entry.type, TarType::directory);
  EXPECT_EQ(m[0].entry.size, 0u) << "directories have no data whatever the size field says";
  EXPECT_EQ(m[1].entry.type, TarType::hard_link);
  EXPECT_EQ(m[1].entry.link_name, "dir/a");
  EXPECT_EQ(m[2].entry.type, TarType::symlink);
  EXPECT_EQ(m[2].entry.link_name, "../x");
  EXPECT_EQ(m[3].entry.type, TarType::char_device);
  EXPECT_EQ(m[3].entry.dev_major, 8u);
  EXPECT_EQ(m[4].entry.type, TarType::block_device);
  EXPECT_EQ(m[4].entry.dev_minor, 1u);
  EXPECT_EQ(m[5].entry.type, TarType::fifo);
  EXPECT_EQ(m[6].entry.type, TarType::directory);
}

TEST(TarReader, UstarPrefixJoinsTheName) {
  EXPECT_EQ(read_one(tar_member({.name = "b", .prefix = "a/long/way"})).entry.name, "a/long/way/b");
}

TEST(TarReader, GnuLongNameAndLink) {
  std::string name(300, 'n'), link(400, 'l');
  ReadMember file =
      read_one(tar_member({.type = 'L', .name = "././@LongLink", .data = name + '\0'}) +
               tar_member({.type = 'K', .name = "././@LongLink", .data = link + '\0'}) +
               tar_member({.type = '2', .name = "short", .link = "short"}));
  EXPECT_EQ(file.entry.name, name);
  EXPECT_EQ(file.entry.link_name, link);
}

TEST(TarReader, PaxOverridesTheHeader) {
  ReadMember file = read_one(
      pax(pax_record("path", "ünïcode/name") + pax_record("uid", "4294967295") +
          pax_record("gid", "70000") + pax_record("mtime", "1700000000.123456789") +
          pax_record("size", "3") + pax_record("SCHILY.xattr.user.a", std::string("v\0w", 3)) +
          pax_record("LIBARCHIVE.xattr.user.b%20c", "aGk") + pax_record("comment", "ignored")) +
      tar_member({.name = "other", .data = "abc", .size_field = octal(0, 12)}));
  EXPECT_EQ(file.entry.name, "ünïcode/name");
  EXPECT_EQ(file.entry.uid, 4294967295u);
  EXPECT_EQ(file.entry.gid, 70000u);
  EXPECT_EQ(file.entry.mtime.tv_sec, 1700000000);
  EXPECT_EQ(file.entry.mtime.tv_nsec, 123456789);
  EXPECT_EQ(file.content, "abc");
  EXPECT_EQ(file.entry.xattrs.at("user.a"), std::string("v\0w", 3));
  EXPECT_EQ(file.entry.xattrs.at("user.b c"), "hi");
}

TEST(TarReader, TimesBefore1970) {
  auto time = [](const std::string& text) {
    return read_one(pax(pax_record("mtime", text)) + tar_member({.name = "x"})).entry.mtime;
  };
  EXPECT_EQ(time("-1.25").tv_sec, -2);
  EXPECT_EQ(time("-1.25").tv_nsec, 750'000'000);
  EXPECT_EQ(time("-3").tv_sec, -3);
  EXPECT_EQ(time("5.1234567899").tv_nsec, 123'456'789);
}

TEST(TarReader, Base256Numbers) {
  std::string uid("\x80\0\0\0\xff\xff\xff\xff", 8);
  std::string mtime(12, '\xff');  // -1
  ReadMember file = read_one(tar_member({.name = "x", .uid_field = uid, .mtime_field = mtime}));
  EXPECT_EQ(file.entry.uid, 4294967295u);
  EXPECT_EQ(file.entry.mtime.tv_sec, -1);
  EXPECT_ERROR(read_tar(tar_member({.name = "x", .uid_field = std::string(8, '\xff')})),
               Errc::InvalidImage, HasSubstr("uid is no number"));
}

TEST(TarReader, GlobalHeadersAreIgnored) {
  ReadMember file =
      read_one(tar_member({.type = 'g', .name = "g", .data = pax_record("path", "evil")}) +
               tar_member({.name = "x"}));
  EXPECT_EQ(file.entry.name, "x");
}

TEST(TarReader, SparseFormatsOfPax) {
  std::string v00 =
      pax(pax_record("GNU.sparse.size", "20") + pax_record("GNU.sparse.numblocks", "2") +
          pax_record("GNU.sparse.offset", "5") + pax_record("GNU.sparse.numbytes", "2") +
          pax_record("GNU.sparse.offset", "20") + pax_record("GNU.sparse.numbytes", "0"));
  std::string v01 =
      pax(pax_record("GNU.sparse.size", "20") + pax_record("GNU.sparse.numblocks", "2") +
          pax_record("GNU.sparse.map", "5,2,20,0") + pax_record("GNU.sparse.name", "real"));
  std::string v10 =
      pax(pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") +
          pax_record("GNU.sparse.realsize", "20") + pax_record("GNU.sparse.name", "real"));
  std::string wanted = std::string(5, '\0') + "ab" + std::string(13, '\0');
  for (const std::string& tar :
       {v00 + tar_member({.name = "real", .data = "ab"}),
        v01 + tar_member({.name = "GNUSparseFile.1/x", .data = "ab"}),
        v10 + tar_member({.name = "x", .data = testing::padded("2\n5\n2\n20\n0\n") + "ab"})}) {
    ReadMember file = read_one(tar);
    EXPECT_EQ(file.entry.name, "real");
    EXPECT_TRUE(file.entry.sparse);
    EXPECT_EQ(file.entry.segments, (std::vector<TarSegment>{{.offset = 5, .length = 2}}));
    EXPECT_EQ(file.content, wanted);
  }
}

TEST(TarReader, BadSparseMaps) {
  auto with_map = [](const std::string& map, const std::string& data) {
    return read_tar(pax(pax_record("GNU.sparse.size", "20") + pax_record("GNU.sparse.map", map)) +
                    tar_member({.name = "x", .data = data}) + tar_end());
  };
  EXPECT_OK(with_map("0,2,18,2", "abcd"));
  EXPECT_ERROR(with_map("18,2,0,2", "abcd"), Errc::InvalidImage, HasSubstr("overlap"));
  EXPECT_ERROR(with_map("0,2,19,2", "abcd"), Errc::InvalidImage, HasSubstr("outside"));
  EXPECT_ERROR(with_map("0,2,18", "abcd"), Errc::InvalidImage, HasSubstr("odd number"));
  EXPECT_ERROR(with_map("0,2,18,x", "abcd"), Errc::InvalidImage, HasSubstr("not a number"));
  EXPECT_ERROR(with_map("0,2", "abcd"), Errc::InvalidImage, HasSubstr("4 stored"));
}

TEST(TarReader, WrongArchivesAreRefusedWithTheirPlace) {
  auto file = tar_member({.name = "a", .data = "x"});
  auto expect = [&](const std::string& tar, const std::string& why) {
    EXPECT_ERROR(read_tar(file + tar), Errc::InvalidImage, HasSubstr(why));
    EXPECT_ERROR(read_tar(file + tar), Errc::InvalidImage, HasSubstr("tar at byte "));
  };
  expect(tar_member({.name = "b", .wrong_checksum = true}), "byte 1024: the header's checksum");
  expect(std::string(100, 'x'), "ends inside a block");
  expect(tar_member({.name = "b", .size_field = octal(99999, 12)}), "ends inside a member");
  expect(tar_member({.name = ""}), "without a name");
  expect(tar_member({.type = '1', .name = "b"}), "without a target");
  expect(tar_member({.type = 'V', .name = "b"}), "unknown type");
  expect(tar_member({.name = "b", .size_field = "zzz"}), "size is no number");
  expect(std::string(512, '\0') + file, "lone zero block");
  expect(pax(pax_record("path", "x")) + tar_end(), "without a member");
  expect(pax("99 path=x\n") + file, "wrong length");
  expect(pax("7 path\n") + file, "no keyword");
  expect(pax("10 path=xx") + file, "does not end with a newline");
  expect(pax(pax_record("path", std::string("a\0b", 3))) + file, "NUL");
  expect(pax(pax_record("uid", "-1")) + file, "no usable number");
  expect(pax(pax_record("mtime", "soon")) + file, "no time");
  expect(pax(pax_record("LIBARCHIVE.xattr.user.x", "!")) + file, "no base64");
}

TEST(TarReader, AnArchiveMayJustStop) {
  EXPECT_OK(read_tar(tar_member({.name = "a"})));
  EXPECT_OK(read_tar(tar_member({.name = "a"}) + std::string(512, '\0')));
  EXPECT_OK(read_tar(""));
}

TEST(TarReader, LimitsHoldExactly) {
  TarLimits limits{.max_pax = 1000, .max_path = 50, .max_segments = 2, .max_entries = 3};
  // No single record is 1000 bytes long, because its length counts its own digits.
  std::string first = pax_record("comment", std::string(80, 'x'));
  auto record = [&](std::size_t total) {
    return first + pax_record("comment", std::string(total - first.size() - 13, 'x'));
  };
  auto file = tar_member({.name = "a"});
  ASSERT_EQ(record(1000).size(), 1000u);
  EXPECT_OK(read_tar(pax(record(1000)) + file, limits));
  EXPECT_ERROR(read_tar(pax(record(1001)) + file, limits), Errc::InvalidImage,
               HasSubstr("at most 1000"));
  EXPECT_OK(read_tar(tar_member({.name = std::string(50, 'n')}), limits));
  EXPECT_ERROR(read_tar(tar_member({.name = std::string(51, 'n')}), limits), Errc::InvalidImage,
               HasSubstr("more than 50 bytes"));
  EXPECT_OK(read_tar(file + file + file, limits));
  EXPECT_ERROR(read_tar(file + file + file + file, limits), Errc::InvalidImage,
               HasSubstr("more than 3 members"));
}

/// What GNU tar itself writes, in all its formats.
class GnuTar : public ::testing::TestWithParam<const char*> {};

TEST_P(GnuTar, SparseFileRoundTrip) {
  std::string dir = ::testing::TempDir() + "/gnutar-XXXXXX";
  ASSERT_NE(::mkdtemp(dir.data()), nullptr);
  std::string command = "cd " + dir +
                        " && for i in $(seq 0 40); do printf data$i | dd of=f bs=1 conv=notrunc "
                        "seek=$((i * 100000)) status=none; done && truncate -s 5000000 f && "
                        "tar -S " +
                        GetParam() + " -cf - f";
  std::string tar;
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::array<char, 4096> buffer{};
  for (std::size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    tar.append(buffer.data(), n);
  ASSERT_EQ(::pclose(pipe), 0);
  std::string wanted(5'000'000, '\0');
  for (std::size_t i = 0; i <= 40; ++i) {
    std::string text = "data" + std::to_string(i);
    wanted.replace(i * 100'000, text.size(), text);
  }
  auto members = read_tar(tar);
  ASSERT_OK(members);
  ASSERT_EQ(members->size(), 1u);
  EXPECT_TRUE(members->front().entry.sparse);
  EXPECT_EQ(members->front().entry.name, "f");
  EXPECT_TRUE(members->front().content == wanted);
  EXPECT_EQ(std::remove((dir + "/f").c_str()), 0);
  EXPECT_EQ(::rmdir(dir.c_str()), 0);
}

INSTANTIATE_TEST_SUITE_P(Formats, GnuTar,
                         ::testing::Values("--format=gnu", "--format=oldgnu",
                                           "--format=posix --sparse-version=0.0",
                                           "--format=posix --sparse-version=0.1",
                                           "--format=posix --sparse-version=1.0"));

}  // namespace
}  // namespace nexcage::image::content
