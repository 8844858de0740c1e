"""A wait before the next try is an event once, however often it is looked at."""

from agent.pods.back_offs import BackOffs, Told
from agent.pods.observed import PodObserved
from agent.pods.status import report
from agent.runtime.protocol import Phase
from gitops.kinds.core.pod import PodStatus
from tests.agent_world import a_pod
from tests.unit.agent.pods.states import APP, NOW, ONE, a_state, failed, with_states


def crashing(attempt: int) -> PodStatus:
    ended = a_state(phase=Phase.EXITED, exit_code=1, attempt=attempt, back_off=10)
    return report(ONE, with_states(ended), NOW)


def test_each_wait_is_told_once() -> None:
    back_offs = BackOffs()
    runs = report(ONE, with_states(a_state(attempt=1)), NOW)

    told = [len(list(back_offs.begun(ONE, one))) for one in (crashing(1), crashing(1), runs, crashing(2))]

    assert told == [1, 0, 0, 1]


def test_it_is_told_in_the_kubelets_words() -> None:
    (crash,) = BackOffs().begun(ONE, crashing(1))
    (pull,) = BackOffs().begun(ONE, report(ONE, with_states(trouble={"app": failed("ErrImagePull", 3)}), NOW))

    assert crash == Told(
        "app",
        "Warning",
        "BackOff",
        "Back-off restarting failed container app in pod web_shop(uid-web)",
    )
    assert pull == Told("app", "Normal", "BackOff", 'Back-off pulling image "shop:1"')


def test_a_pod_that_the_node_ended_is_told_once() -> None:
    pod = a_pod(containers=[APP], securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})
    back_offs, status = BackOffs(), report(pod, PodObserved(), NOW)
    why = 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'

    assert list(back_offs.begun(pod, status)) == [Told("", "Warning", "SysctlForbidden", why)]
    assert list(back_offs.begun(pod, status)) == []
    assert list(BackOffs().begun({**pod, "status": status}, status)) == []
