"""Services on one node: a pure table of who stands behind which address, its iptables renderer, and the driver.

May import gitops.kinds only. In reading order: `table` (services + endpoint slices -> table: pure), `strangers` (whose
address has another pod by now: pure), `host_ports`, `settings`, `iptables` with `iptables_endpoints` and
`iptables_outside` (table -> chains, and the difference of two: pure), `slots` and `nftables` (table -> maps: pure),
`backend` and `nft` (running them), `conntrack` (open flows, forgotten ones), `flows` (listed once for all), `driver`
(brings the host's rules to a table and keeps them there), `watch` (others' changes of rules), `health` (answers
balancers outside).
"""

from agent.services.driver import ServicesDriver
from agent.services.settings import PeerRange, RuleSettings
from agent.services.table import ServiceTable, build

__all__ = ["PeerRange", "RuleSettings", "ServiceTable", "ServicesDriver", "build"]
