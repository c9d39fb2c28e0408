"""Engine.IO packets (protocol revision 4): what a client may send, checked before it is parsed.

The library raises whatever its parsing runs into, and logs a traceback for each. Here a packet is
text that starts with its type; of binary ones, which only attachments need, nothing is kept.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_PACKETS_IN_POST = 16
# Close, ping, pong, message (never an empty one), upgrade, noop. Only the server sends `open`.
PACKET = re.compile(r"[12356].*|4.+", re.DOTALL)
BINARY_PREFIX = "b"
SEPARATOR = "\x1e"


class TextOnly:
    """For the library's packets in place of JSON: it would parse a message that is Socket.IO's."""

    @staticmethod
    def loads(text: str) -> Any:
        raise ValueError(text)

    @staticmethod
    def dumps(value: Any, **options: Any) -> str:
        return json.dumps(value, **options)


def is_packet(text: str) -> bool:
    return PACKET.fullmatch(text) is not None


def clean_payload(body: bytes) -> bytes:
    """The packets of a polling POST, without binary ones. Raises ValueError if one is malformed."""
    packets = body.decode("utf-8").split(SEPARATOR)
    kept = [packet for packet in packets if not packet.startswith(BINARY_PREFIX)]
    if len(packets) > MAX_PACKETS_IN_POST or not all(map(is_packet, kept)):
        raise ValueError("malformed payload")
    return SEPARATOR.join(kept).encode()
