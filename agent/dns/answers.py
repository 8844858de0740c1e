"""A query answered from a table: pure. Source: RFC 1034 and 1035, RFC 2308 (negative answers), RFC 2782 (SRV)."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from agent.dns.table import DnsTable, Name

TTL_SECONDS: Final = 5  # As Kubernetes' own: a caller follows a change of services within it.
PAYLOAD_BYTES_MAX: Final = 1232  # DNS flag day 2020: never fragmented.
CNAME_HOPS_MAX: Final = 8
WEIGHT_TOTAL: Final = 100


@dataclass(frozen=True, slots=True)
class Answered:
    """`chase`: a name outside whose addresses belong to the answer too; '' for none."""

    response: dns.message.Message
    chase: str = ""


class Zone:
    """A table made ready for queries."""

    def __init__(self, table: DnsTable) -> None:
        self.table = table
        self._origin = dns.name.from_text(table["domain"] + ".")
        self._ranges = (IPv4Network(table["pod_cidr"]), IPv4Network(table["service_cidr"]))
        # Names that exist only because longer ones do (`shop.svc`): they answer NOERROR without data.
        self._parents = {
            ".".join(labels[start:])
            for name in table["names"]
            for labels in (name.split("."),)
            for start in range(1, len(labels))
        } | {"", "svc", "pod"}

    def answer(self, query: dns.message.Message) -> Answered | None:
        """None: not ours, to be forwarded."""
        if query.opcode() != dns.opcode.QUERY:
            return Answered(_empty(query, dns.rcode.NOTIMP))
        if len(query.question) != 1:
            return Answered(_empty(query, dns.rcode.FORMERR))
        question = query.question[0]
        if question.rdclass != dns.rdataclass.IN:
            return Answered(_empty(query, dns.rcode.REFUSED))
        if question.name.is_subdomain(self._origin):
            relative = question.name.relativize(self._origin).to_text(omit_final_dot=True).lower()
            return self._forward_answer(query, "" if relative == "@" else relative)
        return self._reverse_answer(query)

    def _forward_answer(self, query: dns.message.Message, relative: str) -> Answered:
        question, response, chase = query.question[0], _empty(query, dns.rcode.NOERROR), ""
        owner, name = question.name, self._find(relative)
        for _ in range(CNAME_HOPS_MAX):
            if name is None or "CNAME" not in name or question.rdtype == dns.rdatatype.CNAME:
                break
            target = dns.name.from_text(name["CNAME"] + ".")
            response.answer.append(dns.rrset.from_text(owner, TTL_SECONDS, "IN", "CNAME", target.to_text()))
            if not target.is_subdomain(self._origin):
                chase = name["CNAME"]
                break
            owner, name = (
                target,
                self._find(target.relativize(self._origin).to_text(omit_final_dot=True).lower()),
            )
        if not chase:
            self._add_records(response, owner, name, question.rdtype)
        if not response.answer:
            exists = name is not None or relative in self._parents
            response.set_rcode(dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
            response.authority.append(self._soa())
        return Answered(response, chase)

    def _find(self, relative: str) -> Name | None:
        if (name := self.table["names"].get(relative)) is not None:
            return name
        labels = relative.split(".")
        if len(labels) == 3 and labels[2] == "pod":
            try:
                address = IPv4Address(labels[0].replace("-", "."))
            except ValueError:
                return None
            return Name(A=[str(address)]) if address in self._ranges[0] else None
        return None

    def _add_records(
        self,
        response: dns.message.Message,
        owner: dns.name.Name,
        name: Name | None,
        rdtype: dns.rdatatype.RdataType,
    ) -> None:
        if rdtype == dns.rdatatype.SOA and owner == self._origin:
            response.answer.append(self._soa())
        elif rdtype == dns.rdatatype.A and name is not None and (addresses := name.get("A")):
            response.answer.append(dns.rrset.from_text(owner, TTL_SECONDS, "IN", "A", *addresses))
        elif rdtype == dns.rdatatype.TXT and name is not None and (text := name.get("TXT")):
            response.answer.append(dns.rrset.from_text(owner, TTL_SECONDS, "IN", "TXT", f'"{text}"'))
        elif rdtype == dns.rdatatype.CNAME and name is not None and (target := name.get("CNAME")):
            response.answer.append(dns.rrset.from_text(owner, TTL_SECONDS, "IN", "CNAME", target + "."))
        elif rdtype == dns.rdatatype.SRV and name is not None and (services := name.get("SRV")):
            weight = max(WEIGHT_TOTAL // len(services), 1)
            texts = [f"0 {weight} {port} {self._full(target)}" for port, target in services]
            response.answer.append(dns.rrset.from_text(owner, TTL_SECONDS, "IN", "SRV", *texts))
            for target in dict.fromkeys(target for _, target in services):
                addresses = self.table["names"].get(target, Name()).get("A")
                if addresses:
                    response.additional.append(
                        dns.rrset.from_text(self._full(target), TTL_SECONDS, "IN", "A", *addresses)
                    )

    def _reverse_answer(self, query: dns.message.Message) -> Answered | None:
        """Addresses of the cluster are nobody else's business: known or not, they are answered here."""
        question = query.question[0]
        try:
            address = IPv4Address(dns.reversename.to_address(question.name))
        except (dns.exception.DNSException, ValueError):
            return None
        names = self.table["pointers"].get(str(address), [])
        if not names and not any(address in each for each in self._ranges):
            return None
        response = _empty(query, dns.rcode.NOERROR if names else dns.rcode.NXDOMAIN)
        if names and question.rdtype == dns.rdatatype.PTR:
            texts = [self._full(name) for name in names]
            response.answer.append(dns.rrset.from_text(question.name, TTL_SECONDS, "IN", "PTR", *texts))
        else:
            response.authority.append(self._soa())
        return Answered(response)

    def _full(self, relative: str) -> str:
        return f"{relative}.{self.table['domain']}."

    def _soa(self) -> dns.rrset.RRset:
        domain = self.table["domain"]
        text = f"ns.dns.{domain}. hostmaster.{domain}. 1 7200 1800 86400 {TTL_SECONDS}"
        return dns.rrset.from_text(self._origin, TTL_SECONDS, "IN", "SOA", text)


def failure(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True, our_payload=PAYLOAD_BYTES_MAX)
    response.set_rcode(dns.rcode.SERVFAIL)
    return response


def _empty(query: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True, our_payload=PAYLOAD_BYTES_MAX)
    response.flags |= dns.flags.AA
    response.set_rcode(rcode)
    return response


def udp_limit(query: dns.message.Message) -> int:
    """The size that the client takes over UDP."""
    return min(max(query.payload, 512), PAYLOAD_BYTES_MAX) if query.edns >= 0 else 512
