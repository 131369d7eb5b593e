// Every harness over its committed seeds: a finding that was turned into a seed stays found.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace nexcage::fuzz {

int fuzz_json(const std::uint8_t* data, std::size_t size);
int fuzz_runtime_spec(const std::uint8_t* data, std::size_t size);
int fuzz_reference(const std::uint8_t* data, std::size_t size);
int fuzz_image_manifest(const std::uint8_t* data, std::size_t size);
int fuzz_image_index(const std::uint8_t* data, std::size_t size);
int fuzz_image_config(const std::uint8_t* data, std::size_t size);
int fuzz_state(const std::uint8_t* data, std::size_t size);
int fuzz_tar_reader(const std::uint8_t* data, std::size_t size);
int fuzz_decompress(const std::uint8_t* data, std::size_t size);
int fuzz_network(const std::uint8_t* data, std::size_t size);
int fuzz_registry_headers(const std::uint8_t* data, std::size_t size);
int fuzz_registries_conf(const std::uint8_t* data, std::size_t size);
int fuzz_auth_file(const std::uint8_t* data, std::size_t size);
int fuzz_policy(const std::uint8_t* data, std::size_t size);
int fuzz_erofs_image(const std::uint8_t* data, std::size_t size);
int fuzz_erofs_round_trip(const std::uint8_t* data, std::size_t size);
int fuzz_layer_apply(const std::uint8_t* data, std::size_t size);
int fuzz_zfs_output(const std::uint8_t* data, std::size_t size);
int fuzz_vm_guest(const std::uint8_t* data, std::size_t size);
int fuzz_qga_lines(const std::uint8_t* data, std::size_t size);

namespace {

struct Harness {
  const char* name;
  int (*run)(const std::uint8_t* data, std::size_t size);
};

constexpr std::array kHarnesses = {
    Harness{"json", fuzz_json},
    Harness{"runtime_spec", fuzz_runtime_spec},
    Harness{"reference", fuzz_reference},
    Harness{"image_manifest", fuzz_image_manifest},
    Harness{"image_index", fuzz_image_index},
    Harness{"image_config", fuzz_image_config},
    Harness{"state", fuzz_state},
    Harness{"tar_reader", fuzz_tar_reader},
    Harness{"decompress", fuzz_decompress},
    Harness{"network", fuzz_network},
    Harness{"registry_headers", fuzz_registry_headers},
    Harness{"registries_conf", fuzz_registries_conf},
    Harness{"auth_file", fuzz_auth_file},
    Harness{"policy", fuzz_policy},
    Harness{"erofs_image", fuzz_erofs_image},
    Harness{"erofs_round_trip", fuzz_erofs_round_trip},
    Harness{"layer_apply", fuzz_layer_apply},
    Harness{"zfs_output", fuzz_zfs_output},
    Harness{"vm_guest", fuzz_vm_guest},
    Harness{"qga_lines", fuzz_qga_lines},
};

class Seeds : public ::testing::TestWithParam<Harness> {};

TEST_P(Seeds, KeepTheInvariants) {
  const std::filesystem::path directory =
      std::filesystem::path(NEXCAGE_TEST_CORPUS) / GetParam().name;
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    SCOPED_TRACE(entry.path().string());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(GetParam().run(reinterpret_cast<const std::uint8_t*>(content.data()), content.size()),
              0);
    ++count;
  }
  EXPECT_GT(count, 0);
}

TEST(Seeds, EachDirectoryHasAHarness) {
  for (const auto& entry : std::filesystem::directory_iterator(NEXCAGE_TEST_CORPUS)) {
    bool known = false;
    for (const Harness& harness : kHarnesses)
      known = known || entry.path().filename() == harness.name;
    EXPECT_TRUE(known) << entry.path();
  }
}

INSTANTIATE_TEST_SUITE_P(Harnesses, Seeds, ::testing::ValuesIn(kHarnesses),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace nexcage::fuzz
