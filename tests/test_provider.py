"""The strict provider is strict: what it must refuse, so that the sign-in tests mean something."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests import jws
from tests.jws import SigningKey
from tests.provider import Client, Provider

APPLICATION = "http://localhost:1"


class RelyingParty:
    """The least that can sign in at the provider; each step can be done wrongly."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.client: Client = provider.register(APPLICATION)
        self.verifier = secrets.token_urlsafe(32)
        self.http = httpx.Client(base_url=provider.issuer)

    def authorize(self, **wrong: str | None) -> httpx.Response:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        params = {
            "client_id": self.client.id,
            "redirect_uri": self.client.redirect_uri,
            "response_type": "code",
            "scope": "openid profile",
            "state": "a state of some length",
            "nonce": "a nonce of some length",
            "code_challenge": jws.b64(digest),
            "code_challenge_method": "S256",
        } | wrong
        given = {name: value for name, value in params.items() if value is not None}
        return self.http.get("/authorize", params=given)

    def code(self) -> str:
        page = self.authorize().raise_for_status()
        request = page.text.split('name="request" value="')[1].split('"')[0]
        back = self.http.post("/decision", data={"request": request, "person": "alice"})
        return parse_qs(urlsplit(back.headers["location"]).query)["code"][0]

    def token(self, code: str, secret: str | None = None, **wrong: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.redirect_uri,
            "code_verifier": self.verifier,
        } | wrong
        credentials = f"{self.client.id}:{secret or self.client.secret}"
        basic = base64.b64encode(credentials.encode()).decode()
        return self.http.post("/token", data=form, headers={"Authorization": f"Basic {basic}"})

    def sign_out(self, hint: str, **wrong: str) -> httpx.Response:
        params = {
            "id_token_hint": hint,
            "post_logout_redirect_uri": self.client.post_logout_redirect_uri,
            "state": "s",
        } | wrong
        return self.http.get("/end-session", params=params)


@pytest.fixture
def party(provider: Provider) -> Iterator[RelyingParty]:
    party = RelyingParty(provider)
    yield party
    party.http.close()


def id_token(party: RelyingParty) -> str:
    answer: dict[str, Any] = party.token(party.code()).raise_for_status().json()
    return str(answer["id_token"])


def test_a_right_client_gets_a_genuine_id_token(party: RelyingParty) -> None:
    claims = jws.verified(id_token(party), [party.provider.key])
    assert claims is not None
    assert (claims["sub"], claims["aud"]) == ("alice", party.client.id)
    assert claims["nonce"] == "a nonce of some length"


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "another"},
        {"redirect_uri": f"{APPLICATION}/authorization-code/callback/"},
        {"redirect_uri": "http://127.0.0.1:1/authorization-code/callback"},
        {"redirect_uri": None},
        {"response_type": "token"},
        {"scope": "profile"},
        {"state": None},
        {"nonce": None},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
    ],
    ids=str,
)
def test_a_wrong_authorization_request_is_refused(
    party: RelyingParty, wrong: dict[str, str | None]
) -> None:
    assert party.authorize(**wrong).status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "wrong"},
        {"redirect_uri": f"{APPLICATION}/"},
        {"code_verifier": secrets.token_urlsafe(32)},
        {"code_verifier": ""},
        {"grant_type": "password"},
        {"client_secret": "sent twice"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_wrong_token_request_is_refused(party: RelyingParty, wrong: dict[str, str]) -> None:
    assert party.token(party.code(), **wrong).status_code in (400, 401)


def test_a_code_is_good_once(party: RelyingParty) -> None:
    code = party.code()
    assert party.token(code).status_code == 200
    assert party.token(code).json() == {"error": "invalid_grant"}


def test_a_code_is_for_the_client_that_asked(party: RelyingParty) -> None:
    code, other = party.code(), party.provider.register(APPLICATION)
    party.client = other
    assert party.token(code).json() == {"error": "invalid_grant"}


def test_a_code_is_good_for_a_minute(party: RelyingParty, monkeypatch: pytest.MonkeyPatch) -> None:
    code = party.code()
    monkeypatch.setattr("tests.provider.CODE_LIFE_S", 0)
    assert party.token(code).json() == {"error": "invalid_grant"}


def test_sign_out_takes_a_genuine_hint_only(party: RelyingParty) -> None:
    hint = id_token(party)
    assert party.sign_out(hint).headers["location"] == f"{APPLICATION}/?state=s"
    forged = jws.token(
        {"alg": "RS256", "kid": party.provider.key.kid},
        jws.verified(hint, [party.provider.key]) or {},
        SigningKey().sign,
    )
    for bad in ("", "a.b.c", forged):
        assert party.sign_out(bad).status_code == 400
    assert party.sign_out(hint, post_logout_redirect_uri="https://evil.example/").is_error


def test_sign_out_takes_a_hint_from_before_a_rotation(party: RelyingParty) -> None:
    hint = id_token(party)
    party.provider.rotate()
    assert party.sign_out(hint).is_redirect
