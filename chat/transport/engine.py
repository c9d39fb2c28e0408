"""Engine.IO packets (protocol revision 4): what a client may send, checked before it is parsed.

The library raises whatever its parsing runs into, and logs a traceback for each. Here a packet is
text that starts with its type; of binary ones, which only attachments need, nothing is kept.
"""

from __future__ import annotations

import re

MAX_PACKETS_IN_POST = 16
# Close, upgrade, noop; ping and pong, also as probes; a message, which is a packet of Socket.IO. It
# starts with its type: without that, the library would take it for JSON, of whatever depth.
PACKET = re.compile(r"[156]|[23](probe)?|4[0-6].*", re.DOTALL)
BINARY_PREFIX = "b"
SEPARATOR = "\x1e"


def is_packet(text: str) -> bool:
    return PACKET.fullmatch(text) is not None


def clean_payload(body: bytes) -> bytes:
    """The packets of a polling POST, without binary ones. Raises ValueError if one is malformed."""
    packets = body.decode("utf-8").split(SEPARATOR)
    kept = [packet for packet in packets if not packet.startswith(BINARY_PREFIX)]
    if len(packets) > MAX_PACKETS_IN_POST or not all(map(is_packet, kept)):
        raise ValueError("malformed payload")
    return SEPARATOR.join(kept).encode()
