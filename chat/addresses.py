"""Hosts and origins as browsers write them."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address

HOST = re.compile(r"(\[[0-9a-f:]+\]|[0-9.]+)(:[1-9][0-9]{0,4})?")
DNS_NAME = re.compile(r"(\*\.)?[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", re.IGNORECASE | re.ASCII)


def origin(host: str) -> str | None:
    """The https origin of a request's `Host`, if that names an IP address and nothing else.

    A name is not believed: whoever owns a domain can point it here, and would then be served as
    this site (DNS rebinding). Nobody can make a browser come to our address under another one.
    """
    found = HOST.fullmatch(host)
    if found is None:
        return None
    address, port = found[1].strip("[]"), found[2]
    if not _is_canonical(address):
        return None
    return normal_origin("https", address, int(port[1:]) if port else None)


def normal_origin(scheme: str, host: str, port: int | None) -> str:
    """As a browser writes it in `Origin`: no port where it is the scheme's own (RFC 6454)."""
    host = f"[{host}]" if ":" in host else host
    if port is None or port == {"https": 443, "http": 80}[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def is_host(name: str) -> bool:
    """Whether a certificate can speak for it: a name, be it with a wildcard, or an address."""
    return DNS_NAME.fullmatch(name) is not None or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_canonical(text: str) -> bool:
    """Whether an address is written as browsers do; of several spellings, one is enough."""
    if not _is_address(text):
        return False
    address = ip_address(text)
    mapped = isinstance(address, IPv6Address) and address.ipv4_mapped is not None
    return not mapped and str(address) == text
