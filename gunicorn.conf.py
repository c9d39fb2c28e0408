"""How gunicorn serves the app.

Its master process reads this, and must stay free of the app's imports: psycopg and redis may be
imported only after gevent has patched, which happens in the worker.
"""

import os
import socket
import subprocess
import sys

from chat.config import SettingsError, from_environment

try:
    settings = from_environment()
except SettingsError as error:
    sys.exit(f"chat: {error}")

host = "127.0.0.1" if settings.development else "0.0.0.0"  # noqa: S104  a container is its own host
bind = f"{host}:{settings.port}"
worker_class = "chat.transport.worker.Worker"
workers = 1
# Beyond the sockets there is room for requests, or a full house could not even say that it is well.
worker_connections = settings.max_sockets + 1_000
# The heartbeat's file: on a disk, a slow one could make a worker look dead.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True
graceful_timeout = 10
loglevel = "warning" if settings.development else "info"
certfile, keyfile = settings.tls_cert_file, settings.tls_key_file

listeners = []


def on_starting(server):
    """Bring the store up to date before anyone is served, in a process of its own: see above."""
    upgrade = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    if subprocess.run(upgrade, check=False).returncode:
        sys.exit("chat: the store could not be brought up to date")
    if settings.redirect_port:
        listeners.append(socket.create_server((host, settings.redirect_port), backlog=128))


def post_worker_init(worker):
    """Start what runs beside the requests, in the patched worker."""
    from gevent.pywsgi import WSGIServer
    from gevent.socket import socket as gevent_socket

    from chat import redirect, sessions

    sessions.start_watch(worker.wsgi)
    for listener in listeners:
        plain = gevent_socket(fileno=listener.detach())
        WSGIServer(plain, redirect.to(settings.public_url), log=None).start()
