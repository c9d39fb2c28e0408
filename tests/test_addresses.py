"""Which hosts are believed, and how an origin is written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.addresses import is_host, origin


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.7", "https://192.0.2.7"),
        ("192.0.2.7:443", "https://192.0.2.7"),
        ("192.0.2.7:8443", "https://192.0.2.7:8443"),
        ("[2001:db8::7]", "https://[2001:db8::7]"),
        ("[2001:db8::7]:8443", "https://[2001:db8::7]:8443"),
    ],
)
def test_an_address_is_an_origin(host: str, expected: str) -> None:
    assert origin(host) == expected


@pytest.mark.parametrize(
    "host",
    [
        *["", "chat.example.com", "localhost", "192.0.2.7.example.com", "192.0.2.7@example.com"],
        *["192.0.2", "192.0.2.07", "0xC0.0.2.7", "3221225991", "192.0.2.256", "192.0.2.7."],
        *["192.0.2.7:", "192.0.2.7:0", "192.0.2.7:http", "192.0.2.7:80:80", " 192.0.2.7"],
        *["2001:db8::7", "[2001:db8::7", "[2001:DB8::7]", "[2001:db8:0::7]", "[::ffff:c000:207]"],
        *["[192.0.2.7]", "[fe80::1%25eth0]", "192.0.2.7\nX: y", "192.0.2.7/", "\u0661.1.1.1"],
    ],
)
def test_what_is_no_address_is_nobody(host: str) -> None:
    assert origin(host) is None


@given(st.ip_addresses())
def test_browsers_write_an_address_in_one_way(address: ipaddress.IPv4Address) -> None:
    """Each address is believed in its one canonical form (but for IPv4 that is dressed as IPv6)."""
    text = str(address) if address.version == 4 else f"[{address.compressed}]"
    mapped = getattr(address, "ipv4_mapped", None)
    assert origin(text) == (None if mapped else f"https://{text}")


@given(st.text(max_size=40))
def test_whatever_is_sent_is_an_address_or_nothing(text: str) -> None:
    assert origin(text) in (None, f"https://{text}", f"https://{text}".removesuffix(":443"))


@pytest.mark.parametrize("name", ["chat.internal", "*.example.com", "10.0.0.7", "::1", "A-1.x"])
def test_a_certificate_can_speak_for(name: str) -> None:
    assert is_host(name)


@pytest.mark.parametrize("name", ["", "a b", "a.example:1", "a/b", "*", "a..b", "fe80::1%eth0"])
def test_a_certificate_can_not_speak_for(name: str) -> None:
    assert not is_host(name)
