"""HTTP and WebSockets (RFC 6455) by hand: a library would refuse to send what an attacker sends."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol, Self

from tests.cast import Person

TIMEOUT_S = 5.0
SOCKET_PATH = "/socket.io/?EIO=4&transport=websocket"
TEXT, BINARY, CLOSE, PING, PONG, MORE = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
FIN = 0x80
Headers = Mapping[str, str | None]


class Place(Protocol):
    """Where something is served: on a port of this machine, under a URL."""

    @property
    def port(self) -> int: ...

    @property
    def url(self) -> str: ...


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Frame(NamedTuple):
    opcode: int
    payload: bytes


def exchange(app: Place, method: str, path: str, headers: Headers, body: bytes = b"") -> Answer:
    """One request, and its whole answer."""
    with Connection(app) as connection:
        given = {"Connection": "close", "Content-Length": str(len(body)), **headers}
        connection.ask(method, path, given, body)
        head = connection.head()
        return Answer(head.status, head.headers, connection.rest())


def upgrade_headers(app: Place, **headers: str | None) -> Headers:
    """A browser's handshake; None leaves a header out."""
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Origin": app.url,
        **headers,
    }


class Connection:
    """A TCP connection to a server, and the bytes that came in and were not read yet."""

    def __init__(self, app: Place) -> None:
        self.app = app
        self.socket = socket.create_connection(("127.0.0.1", app.port), TIMEOUT_S)
        self.pending = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def ask(self, method: str, path: str, headers: Headers, body: bytes = b"") -> None:
        given = {"Host": self.app.url.split("//")[1], **headers}
        lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
        self.socket.sendall(head.encode("latin-1") + body)

    def head(self) -> Answer:
        """The status and headers of an answer."""
        while b"\r\n\r\n" not in self.pending:
            if not self.receive():
                raise AssertionError(f"hung up after {self.pending!r}")
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return Answer(int(first.split()[1]), {k.lower(): v for k, v in headers.items()}, b"")

    def rest(self) -> bytes:
        """All until the server hangs up."""
        while self.receive():
            pass
        return self.pending

    def receive(self) -> bool:
        """Read some more; False at the end."""
        try:
            data = self.socket.recv(65_536)
        except ConnectionResetError:
            return False
        self.pending += data
        return bool(data)

    def read(self, length: int) -> bytes:
        while len(self.pending) < length:
            if not self.receive():
                raise EOFError
        data, self.pending = self.pending[:length], self.pending[length:]
        return data


class WebSocket(Connection):
    """A WebSocket whose frames a test makes itself."""

    def upgrade(self, path: str = SOCKET_PATH, **headers: str | None) -> int:
        """Ask for the upgrade; returns the answer's status."""
        self.ask("GET", path, upgrade_headers(self.app, **headers))
        return self.head().status

    def send(self, text: str) -> None:
        self.send_frame(FIN | TEXT, text.encode("utf-8", "surrogatepass"))

    def send_frame(self, first: int, payload: bytes, claimed: int | None = None) -> None:
        """A masked frame; `claimed` is the length that its header tells."""
        length = len(payload) if claimed is None else claimed
        if length < 126:
            head = struct.pack("!BB", first, 0x80 | length)
        elif length < 65_536:
            head = struct.pack("!BBH", first, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, length)
        mask = b"\x00\x00\x00\x00"  # a mask that changes nothing
        self.socket.sendall(head + mask + payload)

    def frame(self) -> Frame | None:
        """The next frame; None at the end."""
        try:
            first, length = struct.unpack("!BB", self.read(2))
            if length == 126:
                (length,) = struct.unpack("!H", self.read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self.read(8))
            return Frame(first & 0x0F, self.read(length))
        except EOFError:
            return None

    def until(self, start: str) -> str:
        """The next text that starts so; what else comes is left out, and pings are answered."""
        while True:
            frame = self.frame()
            assert frame is not None, f"hung up before {start!r}"
            assert frame.opcode != CLOSE, f"closed before {start!r}: {frame.payload!r}"
            text = frame.payload.decode()
            if text.startswith(start):
                return text
            if text == "2":
                self.send("3")

    def close_code(self) -> int | None:
        """The code with which the server closes; None if it hangs up without one."""
        while (frame := self.frame()) is not None:
            if frame.opcode == CLOSE:
                return int(struct.unpack("!H", frame.payload[:2])[0]) if frame.payload else None
        return None


@contextlib.contextmanager
def connected(person: Person, **headers: str) -> Iterator[WebSocket]:
    """A raw socket that bears someone's cookies, in Socket.IO's namespace `/`."""
    cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    with WebSocket(person.app) as raw:
        status = raw.upgrade(Cookie=cookie, **headers)
        assert status == 101, f"not upgraded: {status}"
        raw.until("0{")
        raw.send("40")
        raw.until("40{")
        yield raw


def is_answered(raw: WebSocket, room: int) -> bool:
    """Whether the next event is answered as ever."""
    raw.send(f'42991["typing",{{"room":{room}}}]')
    return raw.until("43991") == '43991[{"ok":true}]'
