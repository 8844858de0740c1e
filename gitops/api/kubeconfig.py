"""A kubeconfig: one file that says where the API is, whom to trust, and who we are. Everything embedded."""

import base64
from pathlib import Path

import yaml

from gitops.api.certificates import Issued, write_private


def kubeconfig(url: str, ca: bytes, user: str, issued: Issued, *, cluster: str = "gitward") -> str:
    """The file's text. It holds the private key."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": url, "certificate-authority-data": _text(ca)}}],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _text(issued.cert),
                    "client-key-data": _text(issued.key.reveal()),
                },
            }
        ],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }
    return yaml.safe_dump(config, sort_keys=False)


def write_kubeconfig(path: Path, text: str) -> None:
    """Mode 0600, whole or not at all."""
    write_private(path, text.encode())


def _text(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
