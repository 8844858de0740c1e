"""A table: what a pod's manifest says, and what is seen of it from inside its container and in its status."""

from gitops.kinds.core.pod import Pod, pod_phase, pod_status
from tests.docker.pods.conftest import Host
from tests.docker.pods.inside import FOREVER, Play, container, restarts, status_of
from tests.docker.pods.rows import Row, app, differing


def reason(pod: Pod) -> object:
    return pod_status(pod).get("reason")


def conditions(pod: Pod) -> dict[str, str]:
    return {one["type"]: one["status"] for one in pod_status(pod).get("conditions", [])}


RULE = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]

ROWS = {
    "the whole name as hostname": Row(
        {**app(), "hostname": "db-0", "subdomain": "db", "setHostnameAsFQDN": True},
        "hostname; cat /etc/hosts | head -8 | while read a b c; do test $a = 10.77.1.2 || continue; echo; done",
        "db-0.db.shop.svc.cluster.local",
    ),
    "an override of the hostname": Row(
        {**app(), "hostnameOverride": "gold.example.org"}, "hostname", "gold.example.org"
    ),
    "a safe sysctl": Row(
        {
            **app(),
            "securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "81"}]},
        },
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        "81",
    ),
    "an unsafe sysctl is refused": Row(
        {**app(), "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]}},
        until=lambda pod: pod_phase(pod) == "Failed",
        status=reason,
        told="SysctlForbidden",
    ),
    "the host's network: its names, with aliases": Row(
        {**app(), "hostNetwork": True, "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["db"]}]},
        "head -n 1 /etc/hosts; while read a b; do test x$a != x192.0.2.7 || echo $a $b; done < /etc/hosts",
        "# Kubernetes-managed hosts file (host network).\n192.0.2.7 db",
    ),
    "the host's processes": Row({**app(), "hostPID": True}, "test $$ -gt 100 && echo far", "far"),
    "one process namespace for all": Row(
        {
            "shareProcessNamespace": True,
            "containers": [container("app", FOREVER), container("other", "exec sleep 4321")],
        },
        "ps | while read a b c; do test \"$c\" != 'sleep 4321' || echo seen; done",
        "seen",
    ),
    "a gate that nobody opens": Row(
        {**app(), "readinessGates": [{"conditionType": "example.org/lb"}]},
        until=lambda pod: conditions(pod).get("ContainersReady") == "True",
        status=lambda pod: conditions(pod)["Ready"],
        told="False",
    ),
    "a container that restarts by a rule, in a pod that never does": Row(
        {
            **app(
                "test -e /tmp/again || { touch /tmp/again; }; exit 42",
                restartPolicy="Never",
                restartPolicyRules=RULE,
            ),
            "restartPolicy": "Never",
        },
        until=lambda pod: restarts(pod) >= 1,
        status=lambda pod: status_of(pod)["lastState"]["terminated"]["exitCode"],
        told=42,
    ),
    "a container that never restarts, in a pod that always does": Row(
        app("exit 3", restartPolicy="Never"),
        until=lambda pod: pod_phase(pod) == "Failed",
        status=lambda pod: (restarts(pod), status_of(pod)["state"]["terminated"]["exitCode"]),
        told=(0, 3),
    ),
    "a program that is not there": Row(
        {"containers": [{**container("app", ""), "command": ["/no/such"]}], "restartPolicy": "Never"},
        until=lambda pod: pod_phase(pod) == "Failed",
        status=lambda pod: [status_of(pod)["state"]["terminated"][key] for key in ("exitCode", "reason")],
        told=[127, "StartError"],
    ),
    "more memory than it may have": Row(
        {
            **app("x=$(yes)", resources={"limits": {"memory": "16Mi"}}),
            "restartPolicy": "Never",
        },
        until=lambda pod: pod_phase(pod) == "Failed",
        status=lambda pod: [status_of(pod)["state"]["terminated"][key] for key in ("exitCode", "reason")],
        told=[137, "OOMKilled"],
    ),
    "a deadline": Row(
        {**app(), "activeDeadlineSeconds": 2},
        until=lambda pod: pod_phase(pod) == "Failed",
        status=reason,
        told="DeadlineExceeded",
    ),
    "resources by the downward API": Row(
        app(
            env=[
                {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": divisor}}}
                for name, resource, divisor in (
                    ("A", "limits.cpu", "1m"),
                    ("B", "limits.cpu", "0"),
                    ("C", "requests.memory", "1Mi"),
                    ("D", "limits.memory", "1Gi"),
                )
            ],
            resources={"limits": {"cpu": "1500m"}, "requests": {"memory": "20Mi"}},
        ),
        "echo $A $B $C $D",
        "1500 2 20 4",
    ),
}


def test_what_a_manifest_says_is_what_is_there(play: Play) -> None:
    async def scenario(host: Host) -> None:
        async with host.agent() as node:
            assert await differing(host, node, ROWS) == {}

    play(scenario)
