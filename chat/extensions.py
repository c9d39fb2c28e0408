"""The libraries that the parts share, unbound until `create_app` binds them to an app."""

from __future__ import annotations

from pathlib import Path

from authlib.integrations.flask_client import OAuth
from flask import Flask, current_app
from flask_migrate import Migrate
from flask_socketio import SocketIO
from flask_sqlalchemy import SQLAlchemy

from . import provider, store
from .config import Settings
from .models import Base

db = SQLAlchemy(
    model_class=Base,
    disable_autonaming=True,
    # Closing a session must not take away what it read: see store.write.
    session_options={"expire_on_commit": False},
)
migrate = Migrate(directory=str(store.MIGRATIONS))
# Flask's session is of no use to an event: it would be a copy from the time of the handshake.
socketio = SocketIO(async_mode="gevent", manage_session=False)
oauth = OAuth()


def init_app(app: Flask, given: Settings) -> None:
    """Bind the store and the provider, each as its module says; `events` binds the sockets."""
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = store.engine_options(given)
    if f"sqlite:///{app.instance_path}/" in given.database_url:
        Path(app.instance_path).mkdir(exist_ok=True)
    db.init_app(app)
    migrate.init_app(app, db)
    store.init_app(app, db, given)
    oauth.init_app(app)
    provider.register(oauth, given)


def settings() -> Settings:
    """The settings of the app at hand."""
    found: Settings = current_app.config["SETTINGS"]
    return found
