// Pieces of LayerFS' work on their own: milliseconds of each on standard output, without the start
// of a process. tests/bench/layers.py puts them beside each other.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>

#include "measure.h"
#include "nexcage/image/content/stream.h"
#include "nexcage/layerfs/convert/convert.h"
#include "nexcage/layerfs/converter.h"
#include "nexcage/layerfs/drivers/upper.h"
#include "nexcage/sys/fs.h"

namespace nexcage::bench {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

UniqueFd open_file(const std::string& path) { return need(sys::open_at(AT_FDCWD, path, O_RDONLY)); }

/// BLOB: a gzip layer, inflated and thrown away.
void inflate(const Words& words) {
  const UniqueFd file = open_file(words.at(0));
  image::content::FdSource source(file.get(), words[0]);
  const auto inflated = need(image::content::inflate(source, oci::Compression::gzip));
  need(image::content::drain(*inflated));
}

oci::Digest digest_of(const std::string& path) {
  const UniqueFd file = open_file(path);
  image::content::FdSource source(file.get(), path);
  const auto hashing = need(image::content::HashingSource::create(source));
  need(image::content::drain(*hashing));
  return hashing->finish();
}

/// FILE...: SHA-256 of each.
void digests(const Words& words) {
  for (const std::string& path : words) keep(digest_of(path));
}

/// BLOB DIGEST DIFF_ID DIR: a gzip layer becomes a tar and an index in DIR, on disk.
void convert(const Words& words) {
  const layerfs::ConvertJob job{.layers = {{.blob_path = words.at(0),
                                            .compression = oci::Compression::gzip,
                                            .digest = need(oci::Digest::parse(words.at(1))),
                                            .diff_id = need(oci::Digest::parse(words.at(2))),
                                            .size = fs::file_size(words[0]),
                                            .tar_path = words.at(3) + "/tar",
                                            .tar_is_there = false}},
                                .form = layerfs::ConvertForm::merged,
                                .outputs = {words[3] + "/index"}};
  need(layerfs::convert::convert(job));
}

/// DIR LIBEXEC IMAGE: mounts of the image, each the first of it; the median.
double mounts(const Words& words) {
  const std::string& dir = words.at(0);
  if (unshare(CLONE_NEWNS) != 0 || mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return -1;
  const auto store = need(image::Store::open(dir + "/images", image::Store::IfMissing::fail));
  const auto image = need(store.resolve(words.at(2)));
  const auto driver = need(layerfs::open({.root = dir + "/layers",
                                          .driver = "erofs",
                                          .convert = layerfs::helper_converter(words.at(1))}));
  const auto stack = need(driver->prepare(store, image));
  const layerfs::MountPoint at{.target = dir + "/at", .upper = dir + "/upper"};
  fs::create_directories(at.target);
  fs::create_directories(at.upper);
  std::vector<double> samples;
  for (int round = 0; round <= kRounds * 3; ++round) {
    layerfs::MountRecord record;
    samples.push_back(seconds([&] { record = need(driver->mount(stack, at, {})); }));
    need(driver->unmount(record));
    need(layerfs::remove_upper(at));
  }
  std::ranges::sort(samples);
  return samples[samples.size() / 2];
}

int run(const std::string& what, const Words& words) {
  const std::map<std::string, void (*)(const Words&)> work = {
      {"inflate", inflate}, {"digests", digests}, {"convert", convert}};
  double spent = -1;
  if (what == "mount")
    spent = mounts(words);
  else if (const auto found = work.find(what); found != work.end())
    spent = seconds([&] { found->second(words); });
  if (spent < 0) return 2;
  std::cout << spent * 1000 << "\n";
  return 0;
}

}  // namespace
}  // namespace nexcage::bench

int main(int argc, char** argv) {
  const nexcage::bench::Words words(argv + 1, argv + argc);
  if (words.empty()) return 2;
  try {
    return nexcage::bench::run(words.front(), {words.begin() + 1, words.end()});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
