"""The cluster's CA and what it issues."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from gitops.api.certificates import load_or_make_authority, server_certificate
from gitops.api.kubeconfig import kubeconfig, write_kubeconfig
from gitops.client import load_kubeconfig
from gitops.kinds.errors import BadRequest, Unavailable

NOW: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_authority_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    first = load_or_make_authority(tmp_path / "pki", now=NOW)
    second = load_or_make_authority(tmp_path / "pki", now=NOW + timedelta(days=1))

    assert first.cert == second.cert
    assert stat.S_IMODE((tmp_path / "pki" / "ca.key").stat().st_mode) == 0o600


def test_a_crash_between_key_and_certificate_is_mended_and_a_lost_key_is_not(tmp_path: Path) -> None:
    authority = load_or_make_authority(tmp_path, now=NOW)
    (tmp_path / "ca.crt").unlink()

    mended = load_or_make_authority(tmp_path, now=NOW)

    old = x509.load_pem_x509_certificate(authority.cert)
    assert old.public_key() == x509.load_pem_x509_certificate(mended.cert).public_key()
    (tmp_path / "ca.key").unlink()
    with pytest.raises(Unavailable, match="the cluster's CA cannot be read"):
        load_or_make_authority(tmp_path, now=NOW)


def test_a_node_is_known_by_name_and_group_from_an_hour_ago_on(tmp_path: Path) -> None:
    authority = load_or_make_authority(tmp_path, now=NOW)

    cert = x509.load_pem_x509_certificate(authority.node("n1", now=NOW).cert)

    assert [name.value for name in cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        "system:node:n1"
    ]
    assert [name.value for name in cert.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == [
        "system:nodes"
    ]
    assert cert.not_valid_before_utc == datetime(2026, 1, 1, 11, tzinfo=UTC)
    cert.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.cert))


def test_the_server_certificate_is_kept_until_a_name_is_missing_or_its_end_is_near(tmp_path: Path) -> None:
    authority = load_or_make_authority(tmp_path, now=NOW)
    cert_file, _ = server_certificate(authority, tmp_path, ("10.0.0.1",), now=NOW)
    first = cert_file.read_bytes()

    server_certificate(authority, tmp_path, ("10.0.0.1", "localhost"), now=NOW + timedelta(days=100))
    assert cert_file.read_bytes() == first
    server_certificate(authority, tmp_path, ("10.0.0.1", "host.example"), now=NOW)
    second = cert_file.read_bytes()
    assert second != first
    server_certificate(authority, tmp_path, ("10.0.0.1", "host.example"), now=NOW + timedelta(days=310))
    assert cert_file.read_bytes() != second


def test_a_kubeconfig_is_private_and_read_back_as_it_was(tmp_path: Path) -> None:
    authority = load_or_make_authority(tmp_path, now=NOW)
    issued = authority.admin(now=NOW)
    path = tmp_path / "admin.kubeconfig"

    write_kubeconfig(path, kubeconfig("https://127.0.0.1:6443", authority.cert, "admin", issued))

    found = load_kubeconfig(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (found.url, found.ca, found.cert) == ("https://127.0.0.1:6443", authority.cert, issued.cert)
    assert found.key == issued.key
    assert issued.key.reveal().decode() not in repr(found)


@pytest.mark.parametrize(
    "text", ["", "[]", "current-context: x", "kind: Config\ncurrent-context: 3\ncontexts: []"]
)
def test_what_is_no_kubeconfig_is_told_with_its_path(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(BadRequest, match=str(path)):
        load_kubeconfig(path)
