"""What a name, a label and an annotation may look like, in Kubernetes' words. Source: apimachinery's `validation`.

Each function gives the message of what is wrong, or None.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Final

from gitops.kinds import wording
from gitops.kinds.kind import Kind, Problem
from gitops.kinds.objects import KubeObject

LABEL_CHARACTERS_MAX: Final = 63
SUBDOMAIN_CHARACTERS_MAX: Final = 253
GENERATED_BASE_CHARACTERS_MAX: Final = 58  # Five random characters follow.
ANNOTATIONS_BYTES_MAX: Final = 256 * 1024
TEXTS_MAX: Final = (
    2_048  # Labels and namespaces that were looked at lately: all pods of an owner have the same.
)

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_WILDCARD: Final = rf"\*\.{_SUBDOMAIN}"
_QUALIFIED: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_CONFIG_KEY: Final = "[-._a-zA-Z0-9]+"
_LABEL_MESSAGE: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_LABEL_1035_MESSAGE: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{_LABEL_1035}')"
)
_SUBDOMAIN_MESSAGE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_WILDCARD_MESSAGE: Final = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', "
    rf"regex used for validation is '\*\.{_SUBDOMAIN}')"
)
_NAME_PART_MESSAGE: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}')"
)
_VALUE_MESSAGE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_QUALIFIED})?')"
)
_CONFIG_KEY_MESSAGE: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    f"'key-name', regex used for validation is '{_CONFIG_KEY}')"
)
_PATH_SEGMENT_KINDS: Final = frozenset({"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})


@lru_cache(TEXTS_MAX)
def dns_label(text: str) -> str | None:
    return _matches(text, _LABEL, LABEL_CHARACTERS_MAX, _LABEL_MESSAGE)


def dns_1035_label(text: str) -> str | None:
    return _matches(text, _LABEL_1035, LABEL_CHARACTERS_MAX, _LABEL_1035_MESSAGE)


def dns_subdomain(text: str) -> str | None:
    return _matches(text, _SUBDOMAIN, SUBDOMAIN_CHARACTERS_MAX, _SUBDOMAIN_MESSAGE)


def wildcard_subdomain(text: str) -> str | None:
    return _matches(text, _WILDCARD, SUBDOMAIN_CHARACTERS_MAX, _WILDCARD_MESSAGE)


@lru_cache(TEXTS_MAX)
def qualified_name(text: str) -> str | None:
    """A label's key: `[prefix/]name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and not prefix:
        return "prefix part must be non-empty"
    if slash and (wrong := dns_subdomain(prefix)):
        return f"prefix part {wrong}"
    if not name:
        return "name part must be non-empty"
    if len(name) > LABEL_CHARACTERS_MAX:
        return f"name part must be no more than {LABEL_CHARACTERS_MAX} bytes"
    return None if re.fullmatch(_QUALIFIED, name) else _NAME_PART_MESSAGE


@lru_cache(TEXTS_MAX)
def label_value(text: str) -> str | None:
    return _matches(text, f"({_QUALIFIED})?", LABEL_CHARACTERS_MAX, _VALUE_MESSAGE)


def config_key(text: str) -> str | None:
    """A key of a ConfigMap or Secret."""
    if text == ".":
        return "must not be '.'"
    if text.startswith(".."):
        return "must not be '..'" if text == ".." else "must not start with '..'"
    return _matches(text, _CONFIG_KEY, SUBDOMAIN_CHARACTERS_MAX, _CONFIG_KEY_MESSAGE)


def port_name(text: str) -> str | None:
    """The name of a container's port, as targetPort and probes name it."""
    if len(text) > 15:
        return "must be no more than 15 characters"
    if not re.fullmatch("[-a-z0-9]*", text):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", text):
        return "must contain at least one letter (a-z)"
    if "--" in text:
        return "must not contain consecutive hyphens"
    if text.startswith("-") or text.endswith("-"):
        return "must not begin or end with a hyphen"
    return None


def env_name(text: str) -> str | None:
    if not text or not all(" " <= char <= "~" and char != "=" for char in text):
        return (
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
        )
    return None


def path_segment(text: str) -> str | None:
    if text in (".", ".."):
        return f"may not be '{text}'"
    return next((f"may not contain '{char}'" for char in "/%" if char in text), None)


def ip(text: str) -> str | None:
    try:
        ip_address(text)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    return None


def special_ip(text: str) -> str | None:
    """Why a valid address is nobody's to claim. Source: apimachinery, `ValidateNonSpecialIP`."""
    address = ip_address(text)
    if address.is_unspecified:
        return f"may not be unspecified ({text})"
    if address.is_loopback:
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if address.is_link_local:
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if address.is_multicast:
        return "may not be in the multicast range (224.0.0.0/4, ff00::/8)"
    return None


def cidr(text: str) -> str | None:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
    return None if "/" in text else "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


_compiled: Final = lru_cache(re.compile)  # The module's own cache is three times as slow.


def _matches(text: str, pattern: str, characters_max: int, message: str) -> str | None:
    if len(text) > characters_max:
        return f"must be no more than {characters_max} bytes"
    return None if _compiled(pattern).fullmatch(text) else message


def check_labels(labels: Mapping[str, str] | None, field: str) -> Iterator[Problem]:
    for key, value in (labels or {}).items():
        if wrong := qualified_name(key):
            yield wording.invalid(field, key, wrong)
        if wrong := label_value(value):
            yield wording.invalid(field, value, wrong)


def check_annotations(annotations: Mapping[str, str] | None, field: str) -> Iterator[Problem]:
    for key in annotations or {}:
        if wrong := qualified_name(key.lower()):
            yield wording.invalid(field, key, wrong)
    if (
        sum(len(key) + len(value.encode()) for key, value in (annotations or {}).items())
        > ANNOTATIONS_BYTES_MAX
    ):
        yield wording.too_long(field, ANNOTATIONS_BYTES_MAX)


def check_metadata(kind: Kind[Any], obj: KubeObject) -> Iterator[Problem]:
    """Every broken rule of an object's metadata, whatever its kind."""
    meta = obj["metadata"]
    name, base = meta.get("name", ""), meta.get("generateName", "")
    if not name and not base:
        yield wording.required("metadata.name", "name or generateName is required")
    if name and (wrong := _object_name(kind, name)):
        yield wording.invalid("metadata.name", name, wrong)
    if base and (wrong := _object_name(kind, base[:GENERATED_BASE_CHARACTERS_MAX].rstrip("-.") or "-")):
        yield wording.invalid("metadata.generateName", base, wrong)
    namespace = meta.get("namespace", "")
    if namespace and not kind.namespaced:
        yield wording.forbidden("metadata.namespace", "not allowed on this type")
    if kind.namespaced and not namespace:
        yield wording.required("metadata.namespace")
    if namespace and (wrong := dns_label(namespace)):
        yield wording.invalid("metadata.namespace", namespace, wrong)
    yield from check_labels(meta.get("labels"), "metadata.labels")
    yield from check_annotations(meta.get("annotations"), "metadata.annotations")
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        if wrong := qualified_name(finalizer):
            yield wording.invalid(f"metadata.finalizers[{index}]", finalizer, wrong)


def _object_name(kind: Kind[Any], name: str) -> str | None:
    if kind.kind == "Namespace" and not kind.group:
        return dns_label(name)
    if kind.kind == "Service" and not kind.group:
        return dns_1035_label(name)
    if kind.kind in _PATH_SEGMENT_KINDS:
        return path_segment(name)
    return dns_subdomain(name)
