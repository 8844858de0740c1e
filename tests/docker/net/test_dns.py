"""The DNS process: real sockets, its life apart from the agent's, and resolving inside a pod."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import orjson
import pytest

from agent import helpers
from agent.dns import DnsTable, control
from agent.dns.driver import greeting
from agent.helpers import Helper, HelperSpec, code_version
from agent.network import Network, NetworkSettings

ADDRESS = "10.78.0.10"
VERSION = code_version(Path(helpers.__file__).parent / "dns")


class Dns:
    """A DNS process and its table."""

    def __init__(self, directory: Path) -> None:
        self.table_file, self.socket_file = directory / "dns.json", directory / "dns.sock"
        command = (sys.executable, "-P", "-m", "agent.dns", "--table", str(self.table_file))
        where = ("--socket", str(self.socket_file), "--listen", ADDRESS)
        self.spec = HelperSpec("dns", (*command, *where), directory, VERSION)

    def new_helper(self) -> Helper:
        return Helper(self.spec, lambda: greeting(self.socket_file))

    def write(self, *addresses: str, upstreams: tuple[str, ...] = ()) -> None:
        names: Any = {"web.shop.svc": {"A": list(addresses)}}
        table = DnsTable(
            domain="cluster.local",
            pod_cidr="10.77.0.0/16",
            service_cidr="10.78.0.0/16",
            upstreams=list(upstreams),
            names=names,
            pointers={},
        )
        self.table_file.write_bytes(orjson.dumps(table))

    def ask(
        self, name: str = "web.shop.svc.cluster.local", *, tcp: bool = False, timeout_seconds: float = 3
    ) -> list[str]:
        query = dns.message.make_query(name, "A")
        send = dns.query.tcp if tcp else dns.query.udp
        answer = send(query, ADDRESS, timeout=timeout_seconds)
        return [str(rdata) for rrset in answer.answer for rdata in rrset] or [
            dns.rcode.to_text(answer.rcode())
        ]


@pytest.fixture
def server(settings: NetworkSettings, tmp_path: Path) -> Iterator[Dns]:
    asyncio.run(Network(settings).setup())
    dns_server = Dns(tmp_path)
    dns_server.write("10.78.0.20")
    yield dns_server
    asyncio.run(dns_server.new_helper().stop())


def test_it_answers_by_udp_and_tcp_and_follows_its_table(server: Dns) -> None:
    assert asyncio.run(server.new_helper().ensure())
    assert server.ask() == ["10.78.0.20"]
    assert server.ask(tcp=True) == ["10.78.0.20"]

    server.write("10.78.0.21")
    asyncio.run(control.ask(server.socket_file, "reload"))

    assert server.ask() == ["10.78.0.21"]


def test_several_addresses_come_first_in_turn(server: Dns) -> None:
    server.write("10.77.0.2", "10.77.0.3", "10.77.0.4")
    asyncio.run(server.new_helper().ensure())

    assert {server.ask()[0] for _ in range(9)} == {"10.77.0.2", "10.77.0.3", "10.77.0.4"}


def test_a_long_answer_is_cut_by_udp_and_whole_by_tcp(server: Dns) -> None:
    server.write(*(f"10.77.1.{host}" for host in range(1, 201)))
    asyncio.run(server.new_helper().ensure())

    query = dns.message.make_query("web.shop.svc.cluster.local", "A")

    assert dns.query.udp(query, ADDRESS, timeout=3).flags & dns.flags.TC
    assert len(server.ask(tcp=True)) == 200


def test_without_upstreams_other_names_fail_at_once(server: Dns) -> None:
    asyncio.run(server.new_helper().ensure())

    assert server.ask("example.org") == ["SERVFAIL"]


def test_other_names_are_asked_of_the_hosts_resolvers(
    server: Dns, start: Any, wait: Any, tmp_path: Path
) -> None:
    upstream = Dns(tmp_path / "upstream")
    upstream.table_file.parent.mkdir()
    content = upstream.spec.command
    server.write("10.78.0.20", upstreams=("127.0.0.1",))
    upstream.table_file.write_bytes(server.table_file.read_bytes().replace(b"cluster.local", b"example.org"))
    start(*content[:-1], "127.0.0.1:53")
    wait(upstream.socket_file.exists)
    asyncio.run(server.new_helper().ensure())

    assert server.ask("web.shop.svc.example.org") == ["10.78.0.20"]
    assert server.ask("web.shop.svc.example.org", tcp=True) == ["10.78.0.20"]


def test_a_later_agent_takes_it_over_and_a_killed_one_is_back_at_once(
    server: Dns, wait: Callable[..., None]
) -> None:
    asyncio.run(server.new_helper().ensure())

    async def scenario() -> None:
        helper = server.new_helper()
        assert not await helper.ensure()
        first = helper.pid
        keeping = asyncio.create_task(helper.keep())
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(15):  # A second on a machine of its own.
            while helper.pid == first or not await answers():
                await asyncio.sleep(0.02)
        keeping.cancel()

    async def answers() -> bool:
        try:
            return await asyncio.to_thread(server.ask, timeout_seconds=0.1) == ["10.78.0.20"]
        except (OSError, dns.exception.Timeout):
            return False

    asyncio.run(scenario())


def test_one_of_another_version_is_replaced_without_a_lost_question(server: Dns, tmp_path: Path) -> None:
    """Each question is asked once: a resolver that asks again would hide what was lost."""
    here = Path(helpers.__file__).parent
    shutil.copytree(here, tmp_path / "older" / "agent")
    with (tmp_path / "older" / "agent" / "dns" / "table.py").open("a") as source:
        source.write("# As it was before.\n")
    older = ("env", f"PYTHONPATH={tmp_path / 'older'}:{here.parent}", *server.spec.command)
    version = code_version(tmp_path / "older" / "agent" / "dns")
    old = Helper(HelperSpec("dns", older, tmp_path, version), lambda: greeting(server.socket_file))
    asyncio.run(old.ensure())
    told: Counter[str] = Counter()
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                told[server.ask(timeout_seconds=5)[0]] += 1
            except (OSError, dns.exception.Timeout) as error:
                told[repr(error)] += 1

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    replaced = []
    for _ in range(2):
        replaced.append(asyncio.run(server.new_helper().ensure()))
        pid = old.pid
        asyncio.run(old.ensure())  # And back.
        assert helpers.start_time(pid) == ""
    ended.set()
    for asker in askers:
        asker.join()

    assert replaced == [True, True]
    assert told["10.78.0.20"] > 100
    assert set(told) == {"10.78.0.20"}, told


def test_questions_that_wait_when_it_is_told_to_end_are_answered(server: Dns) -> None:
    helper = server.new_helper()
    asyncio.run(helper.ensure())
    asked = 250  # More than it takes in its last wake-ups, and less than the kernel keeps for it.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        client.settimeout(5)
        os.kill(helper.pid, signal.SIGSTOP)
        for _ in range(asked):
            query = dns.message.make_query("web.shop.svc.cluster.local", "A")
            client.sendto(query.to_wire(), (ADDRESS, 53))
        os.kill(helper.pid, signal.SIGTERM)
        os.kill(helper.pid, signal.SIGCONT)
        answers = [client.recv(4096) for _ in range(asked)]

    assert len(answers) == asked


def test_a_pod_resolves_by_it(server: Dns, settings: NetworkSettings, new_host: Callable[[str], Any]) -> None:
    pod = new_host("10.77.3.2")
    asyncio.run(Network(settings).attach(pod.pid, pod.address, "uid-a"))
    asyncio.run(server.new_helper().ensure())

    assert "10.78.0.20" in pod.run("busybox", "nslookup", "web.shop.svc.cluster.local", ADDRESS)
