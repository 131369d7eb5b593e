#include "nexcage/registry/client/upload.h"

#include <gtest/gtest.h>

namespace nexcage::registry::client {
namespace {

TEST(UploadRange, says_how_much_the_registry_has) {
  EXPECT_EQ(parse_upload_range("0-1023"), 1024);
  EXPECT_EQ(parse_upload_range(" bytes=0-0 "), 1);
  for (const char* text : {"", "0", "1-5", "0-", "0-x", "-5", "0-18446744073709551615"})
    EXPECT_EQ(parse_upload_range(text), std::nullopt) << text;
}

}  // namespace
}  // namespace nexcage::registry::client
