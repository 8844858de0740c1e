"""All checks of a host, in the order in which they are shown: pure."""

from gitops.cli.doctor import engine, host, network
from gitops.cli.doctor.facts import Facts
from gitops.cli.doctor.findings import Finding


def findings(facts: Facts) -> list[Finding]:
    """What the host's role needs, each looked at; nothing is left out where it is well."""
    found = [
        *host.rights(facts),
        *host.kernel(facts),
        *host.clock(facts),
        *host.space(facts),
        *host.git(facts),
    ]
    if facts.wanted.is_master:
        found += host.isolation(facts)
    if facts.wanted.is_node:
        found += [*engine.engine(facts), *engine.cgroups(facts), *network.firewall(facts)]
        found += [*network.features(facts), *network.forwarding(facts), *network.ranges(facts)]
        found += [*network.programs(facts), *network.resolvers(facts), *host.mounts(facts)]
    return [*found, *network.ports(facts)]
