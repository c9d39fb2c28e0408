"""The certificate for a laptop: for whom it speaks, and that nobody else can read its key."""

from __future__ import annotations

import ipaddress
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chat import tls

HOSTS = ["localhost", "127.0.0.1", "::1"]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "tls" / "chat.crt", tmp_path / "tls" / "chat.key"


def read(certificate: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.read_bytes())


def test_it_speaks_for_the_hosts_it_was_made_for(pair: tuple[Path, Path]) -> None:
    tls.ensure_self_signed(*pair, HOSTS)
    names = read(pair[0]).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]


def test_it_can_sign_no_other(pair: tuple[Path, Path]) -> None:
    """Told to trust it, a browser must not come to trust whoever stole its key for all sites."""
    tls.ensure_self_signed(*pair, HOSTS)
    extensions = read(pair[0]).extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_browsers_take_its_lifetime(pair: tuple[Path, Path]) -> None:
    tls.ensure_self_signed(*pair, HOSTS)
    certificate = read(pair[0])
    assert certificate.not_valid_before_utc < datetime.now(UTC) < certificate.not_valid_after_utc
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime < timedelta(days=398)


def test_the_key_is_the_certificates_and_its_owners_alone(pair: tuple[Path, Path]) -> None:
    before = os.umask(0)
    try:
        tls.ensure_self_signed(*pair, HOSTS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(pair[1].stat().st_mode) == 0o600
    key = load_pem_private_key(pair[1].read_bytes(), password=None)
    assert key.public_key() == read(pair[0]).public_key()
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair)


def test_a_key_that_others_could_read_is_not_written_into(pair: tuple[Path, Path]) -> None:
    certificate, key = pair
    key.parent.mkdir()
    key.touch(mode=0o644)
    tls.ensure_self_signed(certificate, key, HOSTS)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_link_is_not_followed(pair: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = pair
    key.parent.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    key.symlink_to(elsewhere)
    tls.ensure_self_signed(certificate, key, HOSTS)
    assert not key.is_symlink()
    assert elsewhere.read_bytes() == b""


def test_what_is_good_is_kept(pair: tuple[Path, Path]) -> None:
    tls.ensure_self_signed(*pair, HOSTS)
    made = [path.read_bytes() for path in pair]
    tls.ensure_self_signed(*pair, HOSTS)
    assert [path.read_bytes() for path in pair] == made


@pytest.mark.parametrize("spoiled", ["old", "no certificate", "no key", "not there"])
def test_what_is_not_is_made_anew(pair: tuple[Path, Path], spoiled: str) -> None:
    certificate, key = pair
    tls.write_pair(certificate, key, *tls.make_self_signed(HOSTS, days=365))
    if spoiled == "old":
        tls.write_pair(certificate, key, *tls.make_self_signed(HOSTS, days=6))
    elif spoiled == "no certificate":
        certificate.write_text("no PEM")
    elif spoiled == "no key":
        key.unlink()
    else:
        certificate.unlink()
    before = certificate.read_bytes() if certificate.exists() else b""
    tls.ensure_self_signed(certificate, key, HOSTS)
    assert certificate.read_bytes() != before
    assert read(certificate).not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
