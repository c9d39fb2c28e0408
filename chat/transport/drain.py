"""How a process leaves: nobody comes in any more, and who is in moves to another process.

Clients come back by themselves when their connection is closed beneath Socket.IO, so they need not
be told. Proxies keep connections for later requests, and take it for a failure when one is closed
just as they send: so each answer says that it is the last one (see `worker.Handler`), and only a
connection that stays idle is hung up on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from .connections import Connections

# One after another, so that those who come back do not all knock at once.
STEP_S, SPREAD_S = 0.05, 2.0
ANSWERED_S = 1.0
IDLE_S = 1.0


def move_all(connections: Connections) -> None:
    """Close the connections of Engine.IO; those who come in meanwhile too."""
    sockets = connections.server.eio.sockets
    while staying := [socket for socket in sockets.values() if not socket.closed]:
        moving = []
        for socket in staying:
            moving.append(gevent.spawn(_move, socket, connections))
            gevent.sleep(min(STEP_S, SPREAD_S / len(staying)))
        gevent.joinall(moving)


def hang_up_on_idle(waiting: Mapping[Any, float], hang_up: Callable[[Any], None]) -> None:
    """Go on for ever; `waiting` tells since when a handler waits for a request."""
    while True:
        gevent.sleep(IDLE_S)
        for handler, since in list(waiting.items()):
            if time.monotonic() - since >= IDLE_S:
                hang_up(handler.socket)


def _move(socket: Any, connections: Connections) -> None:
    """Take no more from a client; close when what it asked before is answered."""
    # Imported here, as gunicorn's unpatched master imports this module.
    from engineio.packet import NOOP, Packet

    socket.receive = _ignore
    gives_up = time.monotonic() + ANSWERED_S
    gevent.sleep(0)  # what was received already begins to be handled
    while connections.is_answering(socket.sid) and time.monotonic() < gives_up:
        gevent.sleep(0.01)
    if not socket.closed:
        # Engine.IO's own packet for closing means "for good" to some clients. This one means
        # nothing, and ends a poll that waits.
        socket.send(Packet(NOOP))
        socket.close(wait=False, abort=True)


def _ignore(_packet: Any) -> None:
    """Whoever sent it gets no ack, and sends it again to where it moves."""
