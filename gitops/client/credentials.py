"""Who we are and whom we trust: a URL, the cluster's CA, a client certificate. Read from a kubeconfig file."""

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gitops.kinds.errors import BadRequest
from gitops.kinds.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM texts. `namespace` is the kubeconfig's default one.

    `server_name`: the name that the server's certificate must bear, whatever address it is reached by; '': the URL's.
    """

    url: str
    ca: bytes
    cert: bytes
    key: Sensitive
    namespace: str = "default"
    server_name: str = ""

    def tls(self) -> ssl.SSLContext:
        """A context that trusts this CA alone and shows the certificate."""
        context = ssl.create_default_context(cadata=self.ca.decode())
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.show_in(context)
        return context

    def show_in(self, context: ssl.SSLContext) -> None:
        """Let the context's coming handshakes show this certificate.

        OpenSSL wants files: both lie in memory (memfd), so that a key is never written to a disk.
        """
        fd = os.memfd_create("gitward-client")
        try:
            os.write(fd, self.cert + b"\n" + self.key.reveal())
            context.load_cert_chain(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)


def load_kubeconfig(path: Path) -> Credentials:
    """The current context of a kubeconfig with a client certificate. Raises BadRequest with what is missing."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", config["current-context"], "context")
        cluster = _named(config, "clusters", context["cluster"], "cluster")
        user = _named(config, "users", context["user"], "user")
        return Credentials(
            url=cluster["server"].rstrip("/"),
            ca=_pem(cluster, "certificate-authority", path),
            cert=_pem(user, "client-certificate", path),
            key=Sensitive(_pem(user, "client-key", path)),
            namespace=context.get("namespace") or "default",
        )
    except OSError as error:
        raise BadRequest(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, binascii.Error, StopIteration) as error:
        raise BadRequest(f"{path}: not a kubeconfig with a client certificate: {error!r}") from error


def _named(config: Mapping[str, Any], part: str, name: str, inner: str) -> dict[str, Any]:
    found: dict[str, Any] = next(entry for entry in config[part] if entry["name"] == name)[inner]
    return found


def _pem(entry: Mapping[str, Any], field: str, path: Path) -> bytes:
    """Embedded (`…-data`) or in a file beside the kubeconfig."""
    if embedded := entry.get(f"{field}-data"):
        return base64.b64decode(embedded, validate=True)
    beside: Path = path.parent / entry[field]
    return beside.read_bytes()
