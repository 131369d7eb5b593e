// Network configurations, plugins' answers and the words of --network and --publish.
#include "harness.h"
#include "nexcage/network/attachment.h"
#include "nexcage/network/files.h"
#include "nexcage/network/options.h"
#include "nexcage/network/result.h"

namespace nexcage::fuzz {
namespace {

void check_words(std::string_view text) {
  if (const auto wanted = network::parse_network(text); !wanted) check_message(wanted.error());
  if (const auto ports = network::parse_publish(text); !ports)
    check_message(ports.error());
  else
    for (const network::Port& port : *ports) check(port.container != 0, "a port is not 0");
  if (const auto entry = network::parse_add_host(text); !entry)
    check_message(entry.error());
  else
    check(entry->name.find_first_of(" \t\n") == std::string::npos, "a host name is one word");
  const network::Resolver resolver = network::parse_resolv_conf(text);
  const std::string written = network::resolv_text(resolver);
  check(network::resolv_text(network::parse_resolv_conf(written)) == written, "writing is stable");
}

void check_list(const json::Value& value) {
  auto list = network::parse_list(value);
  if (!list) {
    check_message(list.error());
    return;
  }
  network::Attachment attachment;
  attachment.list = *std::move(list);
  attachment.ports = {{"", 1, 2, network::Protocol::tcp}};
  if (!network::set_arguments(attachment, "10.0.0.1", "02:00:00:00:00:01")) return;
  for (const std::size_t index : network::plugin_order(attachment, network::Operation::add)) {
    const std::string type = network::plugin_type(attachment, index);
    check(!type.empty() && type.find('/') == std::string::npos, "a plugin is one path component");
    const json::Value input =
        network::plugin_input(attachment, index, network::Operation::add, value);
    check(input.find("name") != nullptr, "a plugin is told the network's name");
    check(input.find("capabilities") == nullptr, "capabilities are not passed on");
  }
  const json::Value written = network::to_json(attachment);
  const auto again = network::parse_attachment(written);
  check(again.has_value(), "what is written is accepted");
  check(json::dump(network::to_json(*again)) == json::dump(written), "writing is stable");
}

void check_result(const json::Value& value) {
  const auto outcome = network::parse_result(value);
  if (!outcome) {
    check_message(outcome.error());
    return;
  }
  const std::string text = network::resolv_text(outcome->dns);
  const network::Resolver back = network::parse_resolv_conf(text);
  check(back.servers == outcome->dns.servers, "a plugin adds no lines to resolv.conf");
}

}  // namespace

NX_HARNESS(network) {
  const std::string_view text = text_of(data, size);
  check_words(text);
  check_message(network::plugin_error(1, text, text));
  const auto value = json::parse(text);
  if (!value) return 0;
  check_list(*value);
  check_result(*value);
  return 0;
}

}  // namespace nexcage::fuzz
