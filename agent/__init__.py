"""The node agent: it makes one host do what the API says of its node. May import gitops.kinds and gitops.client only.

In reading order: `node` (composition root), `pods`, `runtime`, `volumes`, `probes`, `network`, `services`, `dns`,
`ingress`, `proxies` (the network side behind one door), `helpers` (processes that outlive the agent), `teardown`.
"""
