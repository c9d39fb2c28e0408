"""Socket.IO packets (protocol revision 5), read strictly.

What is malformed becomes an event named `malformed`, with the id that it came with: so it is acked
with a typed error like any unknown event, instead of vanishing into a log.
"""

from __future__ import annotations

import json
from typing import Any

from socketio.packet import ACK, BINARY_ACK, BINARY_EVENT, EVENT, Packet

MALFORMED = "malformed"
# The server calls handlers by these names itself; a client must not.
RESERVED = {"connect", "disconnect"}


class StrictJSON:
    """JSON as RFC 8259 has it: `NaN` and `Infinity`, which Python adds, make browsers hang up."""

    @staticmethod
    def loads(text: str) -> Any:
        return json.loads(text, parse_constant=_refuse)

    @staticmethod
    def dumps(value: Any, **options: Any) -> str:
        return json.dumps(value, allow_nan=False, **options)


class StrictPacket(Packet):
    """A packet that never waits for binary attachments: their number and size know no bound."""

    def decode(self, encoded_packet: str | bytes) -> int:
        """Read a packet. Returns the number of attachments to wait for, which is always 0."""
        if not isinstance(encoded_packet, str):
            self._become_malformed()
            return 0
        try:
            super().decode(encoded_packet)
        except (ValueError, RecursionError):
            self._become_malformed()
            return 0
        if self.packet_type in (BINARY_EVENT, BINARY_ACK) or not self._has_sound_data():
            self._become_malformed()
        return 0

    def _has_sound_data(self) -> bool:
        if self.packet_type == ACK:
            return isinstance(self.data, list)
        if self.packet_type != EVENT:
            return True
        named = isinstance(self.data, list) and bool(self.data) and isinstance(self.data[0], str)
        return named and self.data[0] not in RESERVED

    def _become_malformed(self) -> None:
        self.packet_type = EVENT
        self.data = [MALFORMED]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
