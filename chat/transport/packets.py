"""Socket.IO packets (protocol revision 5), read strictly.

What is malformed becomes an event named `malformed`, with the id that it came with: so it is acked
with a typed error like any unknown event, instead of vanishing into a log.
"""

from __future__ import annotations

import json
from typing import Any

from socketio.packet import ACK, CONNECT, DISCONNECT, EVENT, Packet

MALFORMED = "malformed"
# The server calls handlers by these names itself; a client must not.
RESERVED = {"connect", "disconnect", "*"}


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

    def decode(self, encoded_packet: str) -> int:
        """Read a packet. Returns the number of attachments to wait for, which is always 0."""
        try:
            super().decode(encoded_packet)
            sound = self._is_sound()
        except (ValueError, RecursionError):
            sound = False
        if not sound:
            self.packet_type, self.data = EVENT, [MALFORMED]
        return 0

    def _is_sound(self) -> bool:
        """Whether it is of a kind that clients send, with data of that kind."""
        if self.packet_type == EVENT:
            named = isinstance(self.data, list) and self.data and isinstance(self.data[0], str)
            return bool(named) and self.data[0] not in RESERVED
        if self.packet_type == ACK:
            return isinstance(self.data, list)
        return self.packet_type in (CONNECT, DISCONNECT)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
