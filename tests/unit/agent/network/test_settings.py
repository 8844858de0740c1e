"""Names and addresses that are a stable contract."""

from pathlib import Path

import pytest

from agent.network import NetworkSettings
from agent.network.settings import LinkMark, cluster_of_alias, link_name, mark_of_alias
from gitops.kinds.errors import Invalid

STATE = Path("/nowhere")


def test_the_node_has_the_first_address_and_dns_the_tenth_of_the_services() -> None:
    settings = NetworkSettings("c1", "n1", "10.77.3.0/24", "10.77.0.0/16", "10.78.0.0/16", STATE)

    assert settings.gateway == "10.77.3.1"
    assert settings.dns_address == "10.78.0.10"


def test_a_nodes_range_outside_of_the_clusters_is_refused() -> None:
    with pytest.raises(Invalid, match=r"pod_cidr: found 10\.80\.0\.0/24, wanted a part of 10\.77\.0\.0/16"):
        NetworkSettings("c1", "n1", "10.80.0.0/24", "10.77.0.0/16", "10.78.0.0/16", STATE)


def test_a_link_name_fits_the_kernels_15_characters_and_never_changes() -> None:
    assert link_name("0f8fad5b-d9cb-469f-a165-70867728950e") == "gwc812e1edb644"


def test_a_link_says_whose_it_is() -> None:
    mark = LinkMark("c1", "0f8fad5b", "10.77.3.2")

    assert mark_of_alias(mark.alias) == mark
    assert cluster_of_alias(mark.alias) == "c1"
    assert cluster_of_alias("gitward:c1:n1") == "c1"
    assert mark_of_alias("gitward:c1:n1") is None
    assert cluster_of_alias("uplink to rack 4") is None
