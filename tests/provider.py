"""A strict OpenID provider for tests, which can be told to misbehave.

Honest, it asks for everything that the standards let it ask for: PKCE S256, the client's secret,
the exact redirect URI (twice), a nonce, a state, a code used once and within a minute, and at
sign-out a genuine `id_token_hint`. It answers with `iss` (RFC 9207). What it refuses is kept in
`refusals`.

Each way to misbehave is a field of `Deviation`, and lasts for a `with` block:

    with provider.deviating(Deviation(claims=lambda honest: {**honest, "aud": "another"})):
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_plus, urlencode

from flask import Flask, Request, Response, jsonify, render_template_string, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from tests import jws
from tests.jws import Json, SigningKey

CODE_LIFE_S = 60
TOKEN_LIFE_S = 300
HANG_S = 30.0

PAGE = """<!doctype html><html lang="en"><title>Sign in at the test provider</title>
<link rel="icon" href="data:,"><h1>Who are you?</h1>
{% for sub, claims in people.items() %}
<form method="post" action="/decision">
  <input type="hidden" name="request" value="{{ asked }}">
  <button name="person" value="{{ sub }}">{{ claims.get("name") or sub }}</button>
</form>
{% endfor %}
<form method="post" action="/decision">
  <input type="hidden" name="request" value="{{ asked }}">
  <button name="action" value="deny">Deny</button>
</form>
"""


@dataclass(frozen=True)
class Client:
    """An application that may use the provider: what an administrator registers for it."""

    id: str
    secret: str
    redirect_uri: str
    post_logout_redirect_uri: str


@dataclass
class Grant:
    """One authorization request, and after the person's consent the code that stands for it."""

    client: Client
    redirect_uri: str
    nonce: str
    challenge: str
    state: str
    sub: str = ""
    issued_at: float = 0.0


@dataclass(frozen=True)
class Draft:
    """An ID token before it is signed; what a hostile one is made of."""

    key: SigningKey
    client: Client
    header: Json
    claims: Json


def honest(draft: Draft) -> str:
    return jws.token(draft.header, draft.claims, draft.key.sign)


def same(answer: Json) -> Json:
    return answer


@dataclass(frozen=True)
class Deviation:
    """What the provider does wrong; as it stands, nothing.

    Each callable gets the honest thing and returns what is sent instead. `answers` replaces the
    whole answer of an endpoint: `discovery`, `jwks`, `token`.
    """

    claims: Callable[[Json], Json] = same
    id_token: Callable[[Draft], Any] = honest
    token_response: Callable[[Json], Json] = same
    callback: Callable[[Json], Json] = same
    metadata: Callable[[Json], Json] = same
    answers: Mapping[str, Callable[[Provider], Response]] = field(default_factory=dict)


class Provider:
    """The provider, served from a thread of this process on a loopback port.

    With a `certificate` and its key it speaks TLS; `host` is another address to serve at.
    """

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self.issuer = f"{'https' if certificate else 'http'}://{host}:{port}"
        self.host, self.port, self.certificate = host, port, certificate
        self.people: dict[str, Json] = {
            "alice": {"name": "Alice", "email": "alice@example.com", "groups": ["chat", "staff"]},
            "bob": {"name": "Bob", "email": "bob@example.com", "groups": ["guests"]},
        }
        self.key = SigningKey()
        self.withdrawn: list[SigningKey] = []
        self.refusals: list[str] = []
        self.signed_out: list[str] = []
        self.deviation = Deviation()
        self._clients: dict[str, Client] = {}
        self._asked: dict[str, Grant] = {}
        self._codes: dict[str, Grant] = {}
        self.held = threading.Event()
        self._released = threading.Event()
        self._server: BaseWSGIServer | None = None

    # What a test tells the provider

    def register(self, application: str) -> Client:
        """Register the application at this base URL, with a secret of its own."""
        client = Client(
            id=f"client-{secrets.token_hex(4)}",
            secret=secrets.token_urlsafe(24),
            redirect_uri=f"{application}/authorization-code/callback",
            post_logout_redirect_uri=f"{application}/",
        )
        self._clients[client.id] = client
        return client

    def enter(self, client_id: str, sign_in: str, sign_out: str) -> None:
        """Enter a client's redirect URIs, as an administrator does once the address is known."""
        uris = {"redirect_uri": sign_in, "post_logout_redirect_uri": sign_out}
        self._clients[client_id] = replace(self._clients[client_id], **uris)

    @contextlib.contextmanager
    def deviating(self, deviation: Deviation) -> Iterator[None]:
        """Misbehave for the length of the block; what hangs by then is let go at its end."""
        before, self.deviation = self.deviation, deviation
        self.held.clear()
        self._released.clear()
        try:
            yield
        finally:
            self.deviation = before
            self._released.set()

    def rotate(self) -> None:
        """Sign with a new key, and publish no other."""
        self.withdrawn.append(self.key)
        self.key = SigningKey()

    def hang(self, seconds: float = HANG_S) -> bool:
        """Hold a request until the deviation ends; True if `seconds` passed first.

        `held` tells a test that a request is held.
        """
        self.held.set()
        return not self._released.wait(seconds)

    def start(self) -> None:
        app = _application(self)
        self._server = make_server(
            self.host,
            self.port,
            app,
            threaded=True,
            request_handler=_Quiet,
            ssl_context=self.certificate,
        )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Go down: connections are refused until `start`."""
        self._released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    # The endpoints

    def discovery(self) -> Response:
        """OpenID Connect Discovery 1.0 section 3."""
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "end_session_endpoint": f"{self.issuer}/end-session",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": True,
        }
        return jsonify(self.deviation.metadata(metadata))

    def jwks(self) -> Response:
        return jsonify(keys=[self.key.jwk()])

    def authorize(self) -> Response:
        """Core section 3.1.2.1. Who asks wrongly learns it here, and not by a redirect."""
        args = request.args
        client = self._clients.get(args.get("client_id", ""))
        if client is None:
            return self._refuse("unknown client")
        if args.get("redirect_uri") != client.redirect_uri:
            return self._refuse(f"redirect_uri {args.get('redirect_uri')!r} is not registered")
        if problem := _problem_of(args):
            return self._refuse(problem)
        asked = secrets.token_urlsafe(16)
        self._asked[asked] = Grant(
            client, args["redirect_uri"], args["nonce"], args["code_challenge"], args["state"]
        )
        page = render_template_string(PAGE, people=self.people, asked=asked)
        # A name may be one that cannot be encoded; the page must work for all others.
        return Response(page.encode("utf-8", "replace"))

    def decision(self) -> Response:
        """The person chose who they are, or said no."""
        grant = self._asked.pop(request.form.get("request", ""), None)
        if grant is None:
            return self._refuse("no such authorization request")
        answer = {"state": grant.state, "iss": self.issuer}
        if request.form.get("action") == "deny":
            return self._back(grant, {**answer, "error": "access_denied"})
        grant.sub, grant.issued_at = request.form["person"], time.monotonic()
        code = secrets.token_urlsafe(24)
        self._codes[code] = grant
        return self._back(grant, {**answer, "code": code})

    def token(self) -> Response:
        """RFC 6749 section 4.1.3, with RFC 7636 section 4.6."""
        client = self._authenticated(request)
        if client is None:
            return self._token_error("invalid_client", 401)
        if request.form.get("grant_type") != "authorization_code":
            return self._token_error("unsupported_grant_type")
        # A code is gone once it was shown, also when it was shown wrongly.
        grant = self._codes.pop(request.form.get("code", ""), None)
        if grant is None or not self._matches(grant, client):
            return self._token_error("invalid_grant")
        answer = {
            "access_token": secrets.token_urlsafe(24),
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE_S,
            "id_token": self._id_token(grant),
        }
        response = jsonify(self.deviation.token_response(answer))
        response.headers["Cache-Control"] = "no-store"
        return response

    def end_session(self) -> Response:
        """RP-Initiated Logout 1.0 section 2."""
        args = request.args
        claims = jws.verified(args.get("id_token_hint", ""), [self.key, *self.withdrawn])
        if claims is None or claims["iss"] != self.issuer:
            return self._refuse("id_token_hint is not of this provider")
        client = self._clients.get(claims["aud"])
        if client is None or args.get("client_id", client.id) != client.id:
            return self._refuse("id_token_hint is not of this client")
        if args.get("post_logout_redirect_uri") != client.post_logout_redirect_uri:
            return self._refuse("post_logout_redirect_uri is not registered")
        self.signed_out.append(claims["sub"])
        state = {"state": args["state"]} if "state" in args else {}
        return _redirect(client.post_logout_redirect_uri, state)

    def _authenticated(self, asking: Request) -> Client | None:
        """The client by its secret, in the header or else in the form (RFC 6749 section 2.3.1)."""
        scheme, _, credentials = asking.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            if "client_secret" in asking.form:
                return None
            pair = base64.b64decode(credentials).decode().split(":", 1)
            client_id, secret = (unquote_plus(part) for part in pair)
        else:
            client_id, secret = (asking.form.get(f"client_{k}", "") for k in ("id", "secret"))
        client = self._clients.get(client_id)
        good = client is not None and secrets.compare_digest(client.secret, secret)
        return client if good else None

    def _matches(self, grant: Grant, client: Client) -> bool:
        verifier = request.form.get("code_verifier", "")
        digest = jws.b64(hashlib.sha256(verifier.encode()).digest())
        return (
            grant.client == client
            and time.monotonic() - grant.issued_at <= CODE_LIFE_S
            and request.form.get("redirect_uri") == grant.redirect_uri
            and re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier) is not None
            and secrets.compare_digest(digest, grant.challenge)
        )

    def _id_token(self, grant: Grant) -> Any:
        now = int(time.time())
        claims = {
            **self.people[grant.sub],
            "iss": self.issuer,
            "sub": grant.sub,
            "aud": grant.client.id,
            "iat": now,
            "exp": now + TOKEN_LIFE_S,
            "nonce": grant.nonce,
        }
        header = {"alg": "RS256", "kid": self.key.kid, "typ": "JWT"}
        draft = Draft(self.key, grant.client, header, self.deviation.claims(claims))
        return self.deviation.id_token(draft)

    def _back(self, grant: Grant, answer: Json) -> Response:
        return _redirect(grant.redirect_uri, self.deviation.callback(answer))

    def _refuse(self, reason: str) -> Response:
        self.refusals.append(reason)
        return Response(f"The test provider refuses: {reason}", 400, content_type="text/plain")

    def _token_error(self, error: str, status: int = 400) -> Response:
        self.refusals.append(f"token endpoint: {error}")
        response = jsonify(error=error)
        response.status_code = status
        return response


def _problem_of(args: Mapping[str, str]) -> str | None:
    """What an authorization request lacks, if anything."""
    wanted = {
        "response_type": r"code",
        "scope": r"(.+ )?openid( .+)?",
        "state": r".{16,}",
        "nonce": r".{16,}",
        "code_challenge_method": r"S256",
        "code_challenge": r"[A-Za-z0-9_-]{43}",
    }
    for name, pattern in wanted.items():
        if not re.fullmatch(pattern, args.get(name, "")):
            return f"{name}={args.get(name)!r} will not do"
    return None


def _redirect(uri: str, params: Json) -> Response:
    location = f"{uri}?{urlencode(params)}" if params else uri
    return Response(status=302, headers={"Location": location})


def _application(provider: Provider) -> Flask:
    app = Flask("provider", static_folder=None)

    def endpoint(name: str, honest_answer: Callable[[], Response]) -> Callable[[], Response]:
        def view() -> Response:
            instead = provider.deviation.answers.get(name)
            return instead(provider) if instead else honest_answer()

        return view

    for path, name, honest_answer, method in (
        ("/.well-known/openid-configuration", "discovery", provider.discovery, "GET"),
        ("/jwks", "jwks", provider.jwks, "GET"),
        ("/authorize", "authorize", provider.authorize, "GET"),
        ("/decision", "decision", provider.decision, "POST"),
        ("/token", "token", provider.token, "POST"),
        ("/end-session", "end_session", provider.end_session, "GET"),
    ):
        app.add_url_rule(path, name, endpoint(name, honest_answer), methods=[method])
    return app


class _Quiet(WSGIRequestHandler):
    """Logs no requests; errors still go to standard error, which pytest shows with a failure."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass
