// The keeper of a machine that stands alone: started by the agent, with the line to it as
// descriptor 3.
#include "nexcage/helpers/keeper/keeper.h"
#include "nexcage/vm/protocol/standalone.h"

int main() {
  nexcage::keeper::run(nexcage::UniqueFd(nexcage::vm::protocol::kKeeperLine));
  return 0;
}
