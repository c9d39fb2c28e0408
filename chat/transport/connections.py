"""The connections of this process: how many there are, and which have no business here."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import gevent

if TYPE_CHECKING:
    from socketio import Server

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 5.0
MAX_QUEUED_PACKETS = 2_000


class Connections:
    """Counts the connections of Engine.IO, and of them those that Socket.IO has admitted."""

    def __init__(self, server: Server):
        self.server = server
        self._strangers: set[str] = set()
        self._answering: dict[str, int] = {}
        self._handle_event = server._handle_event_internal
        server._handle_event_internal = self._handle_and_count

    @property
    def total(self) -> int:
        return len(self.server.eio.sockets)

    @property
    def strangers(self) -> int:
        """Those that are not admitted, or not yet."""
        return self.total - len(self._admitted())

    def sweep_for_ever(self) -> None:
        """Run `sweep` every few seconds; meant for a greenlet of its own."""
        while True:
            gevent.sleep(SWEEP_EVERY_S)
            try:
                self.sweep()
            except Exception:
                log.exception("the sweep of connections failed; it goes on")

    def sweep(self) -> None:
        """Hang up on who has not been admitted since the last sweep, and on who does not read."""
        strangers = set(self.server.eio.sockets).difference(self._admitted())
        for sid in strangers & self._strangers:
            hang_up(self.server, sid)
        self._strangers = strangers
        for sid, socket in list(self.server.eio.sockets.items()):
            if socket.queue.qsize() > MAX_QUEUED_PACKETS:
                log.warning("a client that reads too slowly is cut")
                hang_up(self.server, sid)

    def is_answering(self, sid: str) -> bool:
        """Whether an event is handled that came by the connection of this Engine.IO id."""
        return sid in self._answering

    def _handle_and_count(self, server: Server, admitted: str, sid: str, *event: Any) -> None:
        self._answering[sid] = self._answering.get(sid, 0) + 1
        try:
            self._handle_event(server, admitted, sid, *event)
        finally:
            self._answering[sid] -= 1
            if not self._answering[sid]:
                del self._answering[sid]

    def _admitted(self) -> Collection[str]:
        # The room None holds all that are connected to a namespace: Socket.IO's id to Engine.IO's.
        ids: Mapping[str, str] = self.server.manager.rooms.get("/", {}).get(None, {})
        return ids.values()


def hang_up(server: Server, sid: str) -> None:
    """End a connection, by its Engine.IO id, if it is still there. Never blocks."""
    socket = server.eio.sockets.get(sid)
    if socket is not None:
        socket.close(wait=False)
