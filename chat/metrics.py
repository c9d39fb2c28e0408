"""What is counted, in the names of Prometheus.

Each process counts its own; where several share a port (`WEB_CONCURRENCY`), any of them tells the
sum, out of files in the folder that PROMETHEUS_MULTIPROC_DIR names.
"""

from __future__ import annotations

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

messages = Counter("chat_messages", "Messages stored and delivered.")
sockets = Gauge("chat_sockets", "Sockets that are connected.", multiprocess_mode="livesum")
events = Histogram(
    "chat_event_seconds",
    "Time from a socket event to its ack, by its outcome: ok or the error's code.",
    ["event", "outcome"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
requests = Counter("chat_http_requests", "HTTP answers by route and status.", ["route", "status"])
sign_ins = Counter("chat_sign_ins", "Sign-ins that came back, by outcome.", ["outcome"])


def registry() -> CollectorRegistry:
    """What there is to tell."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared
