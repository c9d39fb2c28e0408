"""The certificate and the key that an operator gave; one that is made here needs no look."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..config import Settings
from .finding import Case, Finding, Skip, fatal, problem

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

EARLY = timedelta(days=7)
RENEW = "put a new one into TLS_CERT_FILE and TLS_KEY_FILE; it is taken up without a restart"


def find(case: Case) -> Iterator[Finding]:
    settings = case.settings
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        raise Skip("TLS_CERT_FILE is not set")
    chain = _chain(Path(settings.tls_cert_file))
    if not chain:
        yield fatal(
            f"TLS_CERT_FILE={settings.tls_cert_file} holds no certificate in PEM",
            "convert it: openssl x509 -inform der -in FILE",
        )
        return
    yield from _of_key(chain, settings.tls_key_file)
    yield from _of_dates(chain[0], settings.tls_cert_file)
    yield from _of_names(chain[0], settings)


def _chain(path: Path) -> list[Certificate]:
    # Loaded here, as gunicorn's master wants none of it where there is no certificate to look at.
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return []


def _of_key(chain: list[Certificate], key_file: str) -> Iterator[Finding]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(Path(key_file).read_bytes(), password=None)
    except TypeError:
        yield fatal(
            f"TLS_KEY_FILE={key_file} is locked by a passphrase, which nobody is there to type",
            "unlock it: openssl pkey -in FILE -out NEW",
        )
        return
    except (OSError, ValueError, UnsupportedAlgorithm):
        yield fatal(
            f"TLS_KEY_FILE={key_file} holds no private key in PEM", "give the certificate's own"
        )
        return
    matching = [_public(certificate) == _public(key) for certificate in chain]
    if any(matching[1:]) and not matching[0]:
        yield fatal(
            "TLS_CERT_FILE's first certificate is another's, such as its authority's",
            "put the server's own first in the file, then those that lead to the authority",
        )
    elif not matching[0]:
        yield fatal(
            "the certificate and the key don't match: TLS_KEY_FILE is not TLS_CERT_FILE's",
            "give the key that the certificate was asked for with",
        )


def _public(holder: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key: bytes = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key


def _of_dates(certificate: Certificate, path: str) -> Iterator[Finding]:
    now = datetime.now(UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= now:
        yield problem(f"the certificate {path} expired on {ends:%Y-%m-%d}", RENEW)
    elif ends <= now + EARLY:
        yield problem(
            f"the certificate {path} expires within a week, on {ends:%Y-%m-%d %H:%M} UTC", RENEW
        )
    if begins > now:
        yield problem(
            f"the certificate {path} is not valid before {begins:%Y-%m-%d %H:%M} UTC",
            "wait, or set this machine's clock if that is what is wrong",
        )


def _of_names(certificate: Certificate, settings: Settings) -> Iterator[Finding]:
    """Whether browsers will take it for `PUBLIC_URL`'s; a proxy in front shows them its own."""
    host = urlsplit(settings.public_url or "").hostname
    if host is None or settings.trusted_proxies:
        return
    names = _names(certificate)
    if not any(_covers(name, host) for name in names):
        yield problem(
            f"the certificate speaks for {', '.join(names) or 'nobody'}, not for PUBLIC_URL's "
            f"host {host}",
            "get one for that host, or set PUBLIC_URL to a host that it names",
        )


def _names(certificate: Certificate) -> list[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    named = extension.value.get_values_for_type(x509.DNSName)
    return [*named, *map(str, extension.value.get_values_for_type(x509.IPAddress))]


def _covers(name: str, host: str) -> bool:
    """RFC 9525 section 6.3: a wildcard stands for the whole first label, and for one only."""
    name, host = name.lower(), host.lower()
    if name.startswith("*."):
        label, _, parent = host.partition(".")
        return bool(label) and parent == name[2:]
    return name == host
