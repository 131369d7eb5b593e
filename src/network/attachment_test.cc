#include "nexcage/network/attachment.h"

#include "result_matchers.h"

namespace nexcage::network {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

json::Value parsed(const char* text) {
  auto value = json::parse(text);
  return value ? *value : json::Value();
}

/// The list of the CNI specification's example, shortened.
Attachment example() {
  Attachment attachment;
  attachment.container_id = "web-0011";
  attachment.netns = "/run/x/netns";
  attachment.plugin_dirs = "/a:/b";
  auto list = parse_list(parsed(R"({"cniVersion": "1.0.0", "name": "dbnet", "plugins": [
    {"type": "bridge", "bridge": "cni0", "keyA": ["more"], "prevResult": "no"},
    {"type": "tuning", "capabilities": {"mac": true}},
    {"type": "portmap", "capabilities": {"portMappings": true}}]})"));
  attachment.list = *list;
  attachment.ports = {{"127.0.0.1", 8080, 80, Protocol::tcp}};
  return attachment;
}

std::string input(const Attachment& attachment, std::size_t index, Operation operation,
                  const json::Value& previous) {
  return json::dump(plugin_input(attachment, index, operation, previous));
}

TEST(PluginCalls, chain_the_result_and_give_each_what_it_takes) {
  Attachment attachment = example();
  ASSERT_OK(set_arguments(attachment, "", "02:00:00:00:00:01"));
  EXPECT_THAT(plugin_order(attachment, Operation::add), ElementsAre(0, 1, 2));
  EXPECT_EQ(input(attachment, 0, Operation::add, {}),
            R"({"type":"bridge","bridge":"cni0","keyA":["more"],"cniVersion":"1.0.0",)"
            R"("name":"dbnet"})");
  const json::Value result = parsed(R"({"ips":[]})");
  EXPECT_EQ(input(attachment, 1, Operation::add, result),
            R"({"type":"tuning","cniVersion":"1.0.0","name":"dbnet",)"
            R"("runtimeConfig":{"mac":"02:00:00:00:00:01"},"prevResult":{"ips":[]}})");
  EXPECT_EQ(input(attachment, 2, Operation::add, result),
            R"({"type":"portmap","cniVersion":"1.0.0","name":"dbnet","runtimeConfig":)"
            R"({"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp",)"
            R"("hostIP":"127.0.0.1"}]},"prevResult":{"ips":[]}})");
}

TEST(PluginCalls, of_del_run_backwards_with_the_last_result) {
  Attachment attachment = example();
  attachment.result = parsed(R"({"ips":[]})");
  EXPECT_THAT(plugin_order(attachment, Operation::del), ElementsAre(2, 1, 0));
  EXPECT_THAT(input(attachment, 0, Operation::del, attachment.result),
              HasSubstr(R"("prevResult":{"ips":[]})"));
  attachment.list.version = "0.3.1";  // whose plugins do not know it
  EXPECT_THAT(input(attachment, 0, Operation::del, attachment.result),
              Not(HasSubstr("prevResult")));
  EXPECT_THAT(input(attachment, 1, Operation::add, attachment.result), HasSubstr("prevResult"));
}

TEST(PluginCalls, have_an_environment_of_their_own) {
  Attachment attachment = example();
  auto environment = plugin_environment(attachment, Operation::del);
  for (const char* entry : {"CNI_COMMAND=DEL", "CNI_CONTAINERID=web-0011", "CNI_IFNAME=eth0",
                            "CNI_NETNS=/run/x/netns", "CNI_PATH=/a:/b"})
    EXPECT_THAT(environment, Contains(entry));
  EXPECT_EQ(environment.size(), 6U);  // and PATH
}

TEST(Arguments, go_as_cni_args_where_no_plugin_takes_them) {
  Attachment attachment = example();
  ASSERT_OK(set_arguments(attachment, "10.1.0.7", "02:00:00:00:00:01"));
  EXPECT_EQ(attachment.args, "IgnoreUnknown=1;IP=10.1.0.7");
  EXPECT_THAT(plugin_environment(attachment, Operation::add),
              Contains("CNI_ARGS=IgnoreUnknown=1;IP=10.1.0.7"));
}

TEST(Arguments, refuse_ports_that_nobody_publishes) {
  Attachment attachment = example();
  attachment.list.plugins.pop_back();
  EXPECT_ERROR(set_arguments(attachment, "", ""), Errc::Unsupported, HasSubstr("dbnet"));
}

TEST(ContainerId, is_of_cnis_characters) {
  EXPECT_EQ(plugin_container_id("web", "0011"), "web-0011");
  EXPECT_EQ(plugin_container_id("_a+b", "0011"), "c_a_b-0011");
  EXPECT_EQ(plugin_container_id(std::string(255, 'x'), "0011").size(), 205U);
}

TEST(AttachmentFile, holds_all_that_del_needs) {
  Attachment attachment = example();
  ASSERT_OK(set_arguments(attachment, "10.1.0.7", ""));
  attachment.result = parsed(R"({"cniVersion":"1.0.0"})");
  const auto back = parse_attachment(to_json(attachment));
  ASSERT_OK(back);
  EXPECT_EQ(json::dump(to_json(*back)), json::dump(to_json(attachment)));
  EXPECT_EQ(back->ports, attachment.ports);
  for (const char* bad :
       {"[]", "{}", R"({"containerId":"a","netns":"","pluginDirs":"","args":""})"})
    EXPECT_ERROR(parse_attachment(parsed(bad)), Errc::InvalidJson, testing::_);
}

TEST(AttachmentFile, of_a_network_without_plugins_holds_its_ports) {
  Attachment attachment;
  attachment.ports = {{.host_ip = "127.0.0.1", .host = 8080, .container = 80}};
  const auto back = parse_attachment(to_json(attachment));
  ASSERT_OK(back);
  EXPECT_EQ(back->ports, attachment.ports);
  EXPECT_TRUE(back->list.plugins.empty());
}

}  // namespace
}  // namespace nexcage::network
