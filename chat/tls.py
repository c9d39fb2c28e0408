"""A self-signed certificate, for where no authority's is to be had: a laptop, a demo.

It is a server's own (RFC 5280): it can sign no other, so a browser told to trust it trusts nothing
more than this service.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 365  # browsers refuse a certificate that is valid for more than 398
SERVED_DAYS = 30
LOOK_EVERY_S = 3_600.0
RENEW_BEFORE = timedelta(days=7)
CLOCK_SKEW = timedelta(hours=1)


def make_self_signed(hosts: Sequence[str], days: int = DAYS) -> tuple[bytes, bytes]:
    """Make a key (EC P-256) and its certificate for `hosts`, DNS names or IP addresses.

    Returns the certificate and the private key (PKCS #8, not encrypted), both in PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=days))
    )
    for extension, critical in _extensions(hosts, key.public_key()):
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def ensure_self_signed(
    certificate: Path, key: Path, hosts: Sequence[str], days: int = DAYS
) -> bool:
    """Leave a certificate at `certificate` that is still good for a week, and its key at `key`.

    Returns whether it was made now.
    """
    certificate.parent.mkdir(parents=True, exist_ok=True)
    with _alone(certificate.parent):
        if key.exists() and certificate.exists() and _lasts(certificate.read_bytes()):
            return False
        write_pair(certificate, key, *make_self_signed(hosts, days))
    return True


def fingerprint(certificate: Path) -> str:
    """The SHA-256 of a certificate, as browsers show it to whoever wants to compare."""
    digest = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def write_pair(certificate: Path, key: Path, certificate_pem: bytes, key_pem: bytes) -> None:
    """Write both files; not for a moment can anyone but its owner read the key."""
    for path in (certificate, key):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    # O_EXCL: the mode is that of a new file, and nobody's link is followed to another place.
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key_pem)
    certificate.write_bytes(certificate_pem)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes that use this folder waiting; two of them would mix up their pairs."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _extensions(
    hosts: Sequence[str], key: ec.EllipticCurvePublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    """What a server's certificate says of itself, each with whether it is critical."""
    return [
        (x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_KEY_USAGE, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
    ]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _lasts(certificate_pem: bytes) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
    except ValueError:
        return False
    return certificate.not_valid_after_utc > datetime.now(UTC) + RENEW_BEFORE
