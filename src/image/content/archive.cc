// Files in a tar archive.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <unordered_map>

#include "nexcage/base/text.h"
#include "nexcage/image/content/files.h"
#include "nexcage/image/content/tar_reader.h"
#include "nexcage/image/temp.h"
#include "nexcage/sys/fs.h"

namespace nexcage::image::content {

namespace {

constexpr int kMaxLinks = 8;

struct Member {
  bool regular = false;
  std::string link;  // name of another member; empty for a file with data
  std::uint64_t offset = 0, size = 0;
};
using Members = std::unordered_map<std::string, Member>;

/// "./a//b" -> "a/b", ".." never leaves the top.
std::string member_name(std::string_view name) {
  return sys::clean_path("/" + std::string(name)).substr(1);
}

std::string directory_of(const std::string& name) {
  auto slash = name.rfind('/');
  return slash == std::string::npos ? "" : name.substr(0, slash);
}

Result<Member> to_member(const TarEntry& entry, const std::string& name) {
  switch (entry.type) {
    case TarType::regular:
      if (entry.sparse)
        return fail(Errc::InvalidImage, "archive member " + quote(name) + " is stored sparse");
      return Member{.regular = true, .link = {}, .offset = entry.data_offset, .size = entry.size};
    case TarType::hard_link:
      return Member{.regular = true, .link = member_name(entry.link_name)};
    case TarType::symlink:
      return Member{.regular = true,
                    .link = member_name(directory_of(name) + "/" + entry.link_name)};
    default:
      return Member{};
  }
}

Result<Members> index_members(int fd, std::uint64_t size) {
  SliceSource source(fd, 0, size, "archive");
  TarReader reader(source);
  Members members;
  while (true) {
    NX_TRY(auto entry, reader.next());
    if (!entry) return members;
    std::string name = member_name(entry->name);
    NX_TRY(Member member, to_member(*entry, name));
    members.insert_or_assign(std::move(name), std::move(member));  // the last one counts, as in tar
  }
}

class Archive final : public Files {
 public:
  Archive(UniqueFd fd, std::optional<Temp> inflated, Members members)
      : fd_(std::move(fd)), inflated_(std::move(inflated)), members_(std::move(members)) {}

  bool has(const std::string& path) const override { return find(path) != nullptr; }
  Result<std::unique_ptr<ByteSource>> open(const std::string& path) const override {
    const Member* member = find(path);
    if (member == nullptr) return fail(Errc::InvalidImage, path + ": is missing from the archive");
    int fd = inflated_ ? inflated_->fd() : fd_.get();
    return std::make_unique<SliceSource>(fd, member->offset, member->size, path);
  }

 private:
  /// The member with the data, links followed.
  const Member* find(const std::string& path) const {
    std::string name = member_name(path);
    for (int links = 0; links <= kMaxLinks; ++links) {
      auto found = members_.find(name);
      if (found == members_.end() || !found->second.regular) return nullptr;
      if (found->second.link.empty()) return &found->second;
      name = found->second.link;
    }
    return nullptr;
  }

  UniqueFd fd_;
  std::optional<Temp> inflated_;
  Members members_;
};

Result<oci::Compression> compression_of(int fd) {
  std::array<std::byte, 8> head{};
  ssize_t n = ::pread(fd, head.data(), head.size(), 0);
  if (n < 0) return fail_errno("read the archive");
  return detect_compression(std::span(head).first(static_cast<std::size_t>(n)));
}

/// The archive's tar in a temporary file.
Result<Temp> inflate_to_temp(ByteSource& source, oci::Compression compression,
                             const Layout& layout) {
  NX_TRY(Temp file, Temp::create(layout.tmp_fd(), "archive", Temp::Kind::file));
  NX_TRY(auto inflated, inflate(source, compression));
  std::vector<std::byte> buffer(256u << 10);
  while (true) {
    NX_TRY(std::size_t n, inflated->read(buffer));
    if (n == 0) return file;
    NX_CHECK(sys::write_all(file.fd(), {reinterpret_cast<const char*>(buffer.data()), n}),
             "inflate the archive");
  }
}

/// Bytes that were read ahead, then the rest.
class Continued final : public ByteSource {
 public:
  Continued(std::span<const std::byte> head, ByteSource& rest) : head_(head), rest_(rest) {}
  Result<std::size_t> read(std::span<std::byte> buffer) override {
    NX_TRY(std::size_t n, head_.read(buffer));
    return n > 0 || buffer.empty() ? Result<std::size_t>(n) : rest_.read(buffer);
  }

 private:
  MemorySource head_;
  ByteSource& rest_;
};

Result<std::shared_ptr<Files>> open_tar(UniqueFd fd, std::optional<Temp> inflated) {
  int tar = inflated ? inflated->fd() : fd.get();
  NX_TRY(struct stat found, sys::stat_fd(tar));
  NX_TRY(Members members, index_members(tar, static_cast<std::uint64_t>(found.st_size)));
  return std::make_shared<Archive>(std::move(fd), std::move(inflated), std::move(members));
}

}  // namespace

Result<std::shared_ptr<Files>> open_archive(const std::string& path, const Layout& layout) {
  NX_TRY(UniqueFd fd, open_source_file(path));
  NX_TRY(oci::Compression compression, compression_of(fd.get()), path);
  std::optional<Temp> inflated;
  if (compression != oci::Compression::none) {
    FdSource source(fd.get(), "archive");
    NX_TRY(inflated, inflate_to_temp(source, compression, layout), path);
  }
  NX_TRY(auto files, open_tar(std::move(fd), std::move(inflated)), path);
  return files;
}

Result<std::shared_ptr<Files>> open_archive_stream(int fd, const Layout& layout) {
  FdSource source(fd, "standard input");
  std::array<std::byte, 8> head{};
  NX_TRY(std::size_t n, read_full(source, head));
  const auto begin = std::span(head).first(n);
  Continued whole(begin, source);
  NX_TRY(Temp inflated, inflate_to_temp(whole, detect_compression(begin), layout));
  return open_tar(UniqueFd(), std::move(inflated));
}

}  // namespace nexcage::image::content
