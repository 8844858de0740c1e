"""What of the flags of `up` and `agent` bounds a node: a wrong one is told here, before anything runs."""

from agent import reservations
from agent.limits import NodeLimits
from agent.thresholds import parse, parse_soft
from gitops.cli.seconds import seconds_of
from gitops.cli.settings import AgentSettings, UpSettings
from gitops.cli.usage import WrongUsage
from gitops.kinds.errors import BadRequest


def limits_of(told: AgentSettings | UpSettings) -> NodeLimits:
    """Raises WrongUsage for bounds that cannot be read or contradict each other."""
    if told.image_gc_low >= told.image_gc_high:
        raise WrongUsage(
            f"--image-gc-low: found {told.image_gc_low}, wanted less than --image-gc-high ({told.image_gc_high})"
        )
    try:
        parse(told.eviction_hard)
        soft = parse_soft(told.eviction_soft, told.eviction_soft_grace_period, seconds_of)
        reservations.reserved(told.system_reserved, reservations.SYSTEM)
        reservations.reserved(told.kube_reserved, reservations.KUBE)
    except BadRequest as error:
        raise WrongUsage(str(error)) from None
    return NodeLimits(
        docker_config=str(told.docker_config.absolute()) if told.docker_config else "",
        image_gc_high_percent=told.image_gc_high,
        image_gc_low_percent=told.image_gc_low,
        eviction_hard=told.eviction_hard,
        pressure_seconds=told.pressure_seconds,
        eviction_soft=told.eviction_soft,
        soft_grace_seconds={str(one.signal): one.grace_seconds or 0.0 for one in soft},
        pod_grace_max_seconds=told.pod_grace_max_seconds,
        system_reserved=told.system_reserved,
        kube_reserved=told.kube_reserved,
        pids_max=told.pod_max_pids,
    )
