"""What `flask` loads (see .flaskenv): the app, or for the doctor nothing but the doctor.

That one must work where a mistake keeps the app from starting, and looks for itself.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()  # as in wsgi.py: before psycopg, redis and requests are imported

import sys

from flask import Flask

import chat
from chat.config import SettingsError
from chat.doctor import command


def create_app() -> Flask:
    """Ends with one line, as wsgi.py does, if a setting is missing or wrong."""
    if command.doctor.name in sys.argv[1:]:
        bare = Flask("chat")
        command.init_app(bare)
        return bare
    try:
        return chat.create_app()
    except SettingsError as error:
        sys.exit(f"chat: {error}")
