"""TLS with the certificate that lies in its files now, not the one that lay there at the start."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


class CurrentContext:
    """In the place of an `ssl.SSLContext`; looks at each handshake whether its files changed.

    gunicorn reads a certificate once, so one that is renewed in place would never be served.
    """

    def __init__(self, certificate: str, key: str):
        self.certificate, self.key = certificate, key
        self._seen = self._stamps()
        self._context = self._load()

    def wrap_socket(self, connection: Any, **options: Any) -> ssl.SSLSocket:
        self._refresh()
        return self._context.wrap_socket(connection, **options)

    def _refresh(self) -> None:
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._context = self._load()
        except (OSError, ssl.SSLError) as error:
            # Or only one of the two is written yet; then the other is soon seen to change.
            log.error("the certificate in %s is not taken: %s", self.certificate, error)
        else:
            log.warning("a new certificate is served from %s", self.certificate)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def _stamps(self) -> list[tuple[int, int, int] | None]:
        """What tells that a file is not the one it was."""
        return [_stamp(Path(name)) for name in (self.certificate, self.key)]


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
