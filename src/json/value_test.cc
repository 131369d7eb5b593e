#include "nexcage/json/value.h"

#include <limits>

#include "result_matchers.h"

namespace nexcage::json {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Value parsed(std::string_view text) {
  auto value = parse(text);
  EXPECT_OK(value);
  return value ? *value : Value();
}

TEST(JsonParse, KeepsKindsAndOrder) {
  const Value value = parsed(R"({"z":[1,-2,3.5,true,null,"a"],"a":{}})");
  const Object& object = *value.if_object();
  ASSERT_EQ(object.size(), 2u);
  EXPECT_EQ(object.begin()->first, "z");
  const Array& array = *value.find("z")->if_array();
  ASSERT_EQ(array.size(), 6u);
  EXPECT_EQ(array[0], Value(1));
  EXPECT_EQ(array[1].as_i64(), -2);
  EXPECT_EQ(array[2], Value(3.5));
  EXPECT_TRUE(*array[3].if_bool());
  EXPECT_TRUE(array[4].is_null());
  EXPECT_EQ(*array[5].if_string(), "a");
}

TEST(JsonParse, IntegersKeepAll64Bits) {
  EXPECT_EQ(parsed("18446744073709551615").as_u64(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(parsed("18446744073709551615").as_i64(), std::nullopt);
  EXPECT_EQ(parsed("-9223372036854775808").as_i64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parsed("-1").as_u64(), std::nullopt);
  EXPECT_EQ(parsed("18446744073709551616").as_u64(), std::nullopt) << "became a double";
  EXPECT_EQ(parsed("1.0").as_i64(), std::nullopt);
  EXPECT_EQ(Value(std::uint64_t{7}), Value(std::int64_t{7}));
}

TEST(JsonParse, SaysWhere) {
  EXPECT_ERROR(parse("{\n  \"a\": 1,\n  \"b\": }"), Errc::InvalidJson,
               StartsWith("line 3, column 8: syntax error"));
  EXPECT_ERROR(parse("[1, 2"), Errc::InvalidJson, StartsWith("line 1, column 6: "));
  EXPECT_ERROR(parse(""), Errc::InvalidJson, StartsWith("line 1, column 1: "));
}

TEST(JsonParse, RefusesDuplicateNamesAtTheSecond) {
  EXPECT_ERROR(parse("{\"a\":1,\n\"a\":2}"), Errc::InvalidJson,
               "line 2, column 1: duplicate name \"a\"");
  EXPECT_ERROR(parse(R"({"x\"y":1, "x\u0022y":2})"), Errc::InvalidJson,
               AllOf(StartsWith("line 1, column 12: "), HasSubstr("duplicate name")));
  EXPECT_OK(parse(R"({"a":{"a":1},"b":{"a":1}})"));
}

TEST(JsonParse, RefusesDuplicatesInLargeObjects) {
  std::string text = "{";
  for (int i = 0; i < 100; ++i) text += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_OK(parse(text + "\"k100\":0}"));
  EXPECT_ERROR(parse(text + "\"k3\":0}"), Errc::InvalidJson, HasSubstr("\"k3\""));
  EXPECT_ERROR(parse(text + "\"k99\":0}"), Errc::InvalidJson, HasSubstr("\"k99\""));
}

TEST(JsonParse, KeepsItsLimits) {
  const Limits limits{.max_bytes = 12, .max_depth = 3};
  EXPECT_OK(parse("[[[1]]]", limits));
  EXPECT_ERROR(parse("[[[[]]]]", limits), Errc::InvalidJson,
               "line 1, column 4: nested deeper than 3");
  EXPECT_ERROR(parse("{\"a\":[[[]]]}", limits), Errc::InvalidJson, HasSubstr("nested deeper"));
  EXPECT_OK(parse("\"1234567890\"", limits));
  EXPECT_ERROR(parse("\"12345678901\"", limits), Errc::InvalidJson, HasSubstr("13 bytes"));
}

TEST(JsonParse, DepthIsBoundedByDefault) {
  EXPECT_OK(parse(std::string(64, '[') + std::string(64, ']')));
  EXPECT_ERROR(parse(std::string(65, '[') + std::string(65, ']')), Errc::InvalidJson,
               HasSubstr("column 65: nested deeper than 64"));
  EXPECT_ERROR(parse(std::string(1u << 20, '[')), Errc::InvalidJson, HasSubstr("nested deeper"));
}

class RefusedJson : public ::testing::TestWithParam<std::string> {};

TEST_P(RefusedJson, IsInvalidJson) {
  EXPECT_ERROR(parse(GetParam()), Errc::InvalidJson, HasSubstr("line 1, column "));
}

INSTANTIATE_TEST_SUITE_P(
    Documents, RefusedJson,
    ::testing::Values("{} x", "{}{}", "[1,]", "{\"a\":1,}", "{'a':1}", "// c\n{}", "/* c */{}",
                      "01", "+1", "1e999", "NaN", "Infinity", "\"a\nb\"", "\"\x01\"", "\"\\x41\"",
                      "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\\ud800\"", "tru",
                      "\xEF\xBB\xBF{}", std::string("{}\0", 3), std::string("{}\0x", 4),
                      std::string("\0", 1), "{\"a\"}", "{1:2}", "[", "\"", " "));

TEST(JsonParse, ErrorTextHoldsNoRawInput) {
  // The second looks like the library's own words, between which it repeats the token.
  for (const char* text : {"[\"\x1b[31m\xff", "{\"\x7f; expected\x7f'; last read: '\x7f\xff"}) {
    const auto result = parse(text);
    ASSERT_FALSE(result.has_value());
    for (char c : result.error().message()) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << int{c};
  }
}

TEST(JsonDump, RoundTrips) {
  const std::string text =
      R"({"a":[1,-2,1.5,-0.0,1e+300,18446744073709551615],"b":{},"c":[],"d":"x\n\"\\é\u0000"})";
  const Value value = parsed(text);
  EXPECT_EQ(parsed(dump(value)), value);
  EXPECT_EQ(parsed(dump(value, Style::pretty)), value);
  EXPECT_EQ(dump(value), dump(parsed(dump(value))));
}

TEST(JsonDump, EscapesWhatATerminalActsOn) {
  EXPECT_EQ(dump(Value(std::string("\x1b\x7f\t\"\\/\0", 7))), R"("\u001b\u007f\t\"\\/\u0000")");
  EXPECT_EQ(dump(Value("a\xff\xc3")), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(JsonDump, NumbersKeepTheirKind) {
  EXPECT_EQ(dump(Value(3.0)), "3.0");
  EXPECT_EQ(dump(Value(3)), "3");
  EXPECT_EQ(dump(Value(std::numeric_limits<double>::infinity())), "null");
}

TEST(JsonDump, PrettyIndentsByTwo) {
  EXPECT_EQ(dump(parsed(R"({"a":[1,{}],"b":[]})"), Style::pretty),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST(JsonObject, SetReplacesInPlaceAndAppends) {
  Object object;
  object.set("a", 1);
  object.set("b", 2);
  object.set("a", 3);
  EXPECT_EQ(dump(Value(object)), R"({"a":3,"b":2})");
  EXPECT_TRUE(object.erase("a"));
  EXPECT_FALSE(object.erase("a"));
  EXPECT_EQ(object.find("a"), nullptr);
  EXPECT_EQ(Value(object).find("b")->as_i64(), 2);
}

TEST(JsonValue, TextIsTheStringOrNothing) {
  const Value value = parsed(R"({"name":"web","empty":"","number":1,"list":["a"]})");
  EXPECT_EQ(value.text("name"), "web");
  EXPECT_EQ(value.find("name")->text(), "web");
  EXPECT_EQ(value.if_object()->text("name"), "web");
  for (const char* name : {"empty", "number", "list", "missing"}) EXPECT_EQ(value.text(name), "");
  EXPECT_EQ(value.text(), "");
  EXPECT_EQ(parsed("[1]").text("name"), "");
}

TEST(JsonObject, EqualityIgnoresOrder) {
  EXPECT_EQ(parsed(R"({"a":1,"b":[2]})"), parsed(R"({"b":[2],"a":1})"));
  EXPECT_NE(parsed(R"({"a":1,"b":2})"), parsed(R"({"b":1,"a":2})"));
  EXPECT_NE(parsed(R"({"a":1})"), parsed(R"({"a":1,"b":2})"));
  EXPECT_NE(parsed("[1,2]"), parsed("[2,1]"));
}

TEST(JsonPointer, Escapes) {
  EXPECT_EQ(pointer("", "process"), "/process");
  EXPECT_EQ(pointer("/a", "b/c~d"), "/a/b~1c~0d");
  EXPECT_EQ(pointer("/process/args", std::size_t{0}), "/process/args/0");
}

}  // namespace
}  // namespace nexcage::json
