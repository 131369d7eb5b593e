// Matchers for Result<T>: EXPECT_OK(r), ASSERT_OK(r), EXPECT_ERROR(r, Errc::X, HasSubstr("...")).
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nexcage/base/error.h"

#define EXPECT_OK(...)                                                                  \
  do {                                                                                  \
    const auto& nx_result = (__VA_ARGS__);                                              \
    EXPECT_TRUE(nx_result.has_value())                                                  \
        << (nx_result.has_value() ? std::string() : nx_result.error().debug_message()); \
  } while (false)

#define ASSERT_OK(...)                                                                  \
  do {                                                                                  \
    const auto& nx_result = (__VA_ARGS__);                                              \
    ASSERT_TRUE(nx_result.has_value())                                                  \
        << (nx_result.has_value() ? std::string() : nx_result.error().debug_message()); \
  } while (false)

#define EXPECT_ERROR(result, expected_code, matcher)                                           \
  do {                                                                                         \
    const auto& nx_result = (result);                                                          \
    ASSERT_FALSE(nx_result.has_value());                                                       \
    EXPECT_EQ(nexcage::errc_name(nx_result.error().code()), nexcage::errc_name(expected_code)) \
        << nx_result.error().debug_message();                                                  \
    EXPECT_THAT(nx_result.error().message(), matcher);                                         \
  } while (false)
