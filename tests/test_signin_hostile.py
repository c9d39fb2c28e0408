"""Sign-in at providers that lie, forge, break, stall or are away: nobody gets in by it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import httpx
import pytest
from flask import Response

from tests import jws, servers
from tests.cast import Arrive, Person
from tests.jws import Json, SigningKey
from tests.provider import Deviation, Draft, Provider
from tests.servers import App, Serve

PATIENCE_S = 8.0

Answer = Callable[[Provider], Response]


@cache
def stranger() -> SigningKey:
    """A key that is not the provider's."""
    return SigningKey()


def assert_refused(person: Person, answer: httpx.Response, *status: int) -> None:
    """A page that says something, with one of these statuses, and nobody signed in by it."""
    assert answer.status_code in status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1" in answer.text
    for inside in ("Traceback", "authlib", "joserfc", "requests.exceptions"):
        assert inside not in answer.text
    assert person.session_key is None
    assert not person.signed_in


def with_claims(**claims: Any) -> Deviation:
    return Deviation(claims=lambda honest: {**honest, **claims})


def without_claim(name: str) -> Deviation:
    return Deviation(claims=lambda honest: {k: v for k, v in honest.items() if k != name})


def at_another_time(**offsets: float) -> Deviation:
    """Times that are so many seconds from now."""
    return Deviation(
        claims=lambda honest: {**honest, **{k: int(time.time() + s) for k, s in offsets.items()}}
    )


def with_id_token(value: Any) -> Deviation:
    return Deviation(token_response=lambda honest: {**honest, "id_token": value})


@pytest.fixture
def alice(strict_app: App, arrive: Arrive) -> Person:
    """Not signed in yet: each test here is about whether she gets in."""
    return arrive(strict_app, "alice")


# The claims: Core section 3.1.3.7

OTHER = "https://login.evil.example"

LIES = {
    "iss of another": with_claims(iss=OTHER),
    "iss with a slash": Deviation(claims=lambda c: {**c, "iss": f"{c['iss']}/"}),
    "iss in a list": Deviation(claims=lambda c: {**c, "iss": [c["iss"]]}),
    "iss empty": with_claims(iss=""),
    "iss missing": without_claim("iss"),
    "aud of another": with_claims(aud="another"),
    "aud of another in a list": with_claims(aud=["another"]),
    "aud of another, azp us": Deviation(claims=lambda c: {**c, "aud": "another", "azp": c["aud"]}),
    "aud us and another": Deviation(claims=lambda c: {**c, "aud": [c["aud"], "another"]}),
    "aud us and another, azp another": Deviation(
        claims=lambda c: {**c, "aud": [c["aud"], "another"], "azp": "another"}
    ),
    "aud that we begin": Deviation(claims=lambda c: {**c, "aud": f"{c['aud']}-2"}),
    "aud empty": with_claims(aud=[]),
    "aud null": with_claims(aud=None),
    "aud missing": without_claim("aud"),
    "azp another": with_claims(azp="another"),
    "nonce of another sign-in": with_claims(nonce="another"),
    "nonce empty": with_claims(nonce=""),
    "nonce null": with_claims(nonce=None),
    "nonce missing": without_claim("nonce"),
    "nonce not supported, they say": Deviation(
        claims=lambda c: {k: v for k, v in c.items() if k != "nonce"} | {"nonce_supported": False}
    ),
    "expired, within Authlib's own leeway": at_another_time(iat=-300, exp=-45),
    "expired long ago": at_another_time(iat=-7200, exp=-3600),
    "exp missing": without_claim("exp"),
    "exp not a number": with_claims(exp="tomorrow"),
    "exp null": with_claims(exp=None),
    "issued in the future": at_another_time(iat=90, exp=600),
    "iat missing": without_claim("iat"),
    "iat not a number": with_claims(iat="now"),
    "not valid yet": at_another_time(nbf=90),
    "sub empty": with_claims(sub=""),
    "sub missing": without_claim("sub"),
    "sub null": with_claims(sub=None),
    "sub a number": with_claims(sub=1),
    "sub a list": with_claims(sub=["alice"]),
    "sub true": with_claims(sub=True),
    "sub too long": with_claims(sub="a" * 256),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_lie_in_the_id_token_is_refused(
    alice: Person, provider: Provider, lie: Deviation
) -> None:
    with provider.deviating(lie):
        answer = alice.sign_in()
    assert_refused(alice, answer, 502)
    alice.signs_in()


@pytest.mark.parametrize(
    "odd",
    [
        at_another_time(exp=-10),
        at_another_time(iat=10),
        Deviation(claims=lambda c: {**c, "aud": [c["aud"]], "azp": c["aud"]}),
    ],
    ids=["10 s late", "10 s early", "aud in a list, azp us"],
)
def test_what_is_allowed_is_accepted(alice: Person, provider: Provider, odd: Deviation) -> None:
    """The tests above could pass because all is refused; this one could not."""
    with provider.deviating(odd):
        alice.signs_in()


@pytest.mark.parametrize("sub", ["a\x00lice", "a\ud800lice"], ids=["NUL", "lone surrogate"])
def test_a_subject_that_no_store_takes_is_refused(
    alice: Person, provider: Provider, sub: str
) -> None:
    with provider.deviating(with_claims(sub=sub)):
        assert_refused(alice, alice.sign_in(), 502)


STRANGE = {
    "NUL": "x\x00y",
    "lone surrogate": "x\ud800y",
    "long": "x" * 5_000,
    "list": ["x"],
    "object": {"x": 1},
    "number": 7,
}


@pytest.mark.parametrize("claim", ["sid", "email", "groups"])
@pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE.keys())
def test_a_strange_claim_beside_does_no_harm(
    alice: Person, provider: Provider, claim: str, value: object
) -> None:
    """What is only told beside the identity may be left out, but must not break the sign-in."""
    with provider.deviating(with_claims(**{claim: value})):
        alice.signs_in()


# The signature


def signed(sign: Callable[[Draft], Callable[[bytes], bytes]], **header: Any) -> Deviation:
    """A token with other header fields (None takes one away) and another signature."""

    def forge(draft: Draft) -> str:
        fields = {k: v for k, v in {**draft.header, **header}.items() if v is not None}
        return jws.token(fields, draft.claims, sign(draft))

    return Deviation(id_token=forge)


def by_stranger(_draft: Draft) -> Callable[[bytes], bytes]:
    return stranger().sign


def tampered(draft: Draft) -> str:
    """Genuine, and then made out to someone else."""
    head, _, signature = jws.token(draft.header, draft.claims, draft.key.sign).split(".")
    claims = jws.b64(json.dumps({**draft.claims, "sub": "bob"}).encode())
    return f"{head}.{claims}.{signature}"


def hs256_with(secret: Callable[[Draft], bytes]) -> Deviation:
    return signed(lambda draft: jws.hs256(secret(draft)), alg="HS256")


FORGERIES = {
    "alg none": signed(lambda _: lambda _: b"", alg="none"),
    "alg None": signed(lambda _: lambda _: b"", alg="None"),
    "alg none, no kid": signed(lambda _: lambda _: b"", alg="none", kid=None),
    "alg none, signature kept": signed(lambda draft: draft.key.sign, alg="none"),
    "alg missing": signed(lambda draft: draft.key.sign, alg=None),
    "RS256 without a signature": signed(lambda _: lambda _: b""),
    "HS256 with the client secret": hs256_with(lambda draft: draft.client.secret.encode()),
    "HS256 with the client secret, no kid": signed(
        lambda draft: jws.hs256(draft.client.secret.encode()), alg="HS256", kid=None
    ),
    "HS256 with the public key's PEM": hs256_with(lambda draft: draft.key.pem()),
    "HS256 with the public key's DER": hs256_with(lambda draft: draft.key.der()),
    "HS256 with the public JWK": hs256_with(lambda draft: json.dumps(draft.key.jwk()).encode()),
    "HS256 with nothing": hs256_with(lambda _: b""),
    "stranger's key under our kid": signed(by_stranger),
    "stranger's key, unknown kid": signed(by_stranger, kid="unknown"),
    "stranger's key, no kid": signed(by_stranger, kid=None),
    "stranger's key in the header": Deviation(
        id_token=lambda draft: jws.token(
            {"alg": "RS256", "jwk": stranger().jwk()}, draft.claims, stranger().sign
        )
    ),
    "genuine key, unknown kid": signed(lambda draft: draft.key.sign, kid="unknown"),
    "a critical extension that nobody knows": signed(
        lambda draft: draft.key.sign, crit=["exempt"], exempt=True
    ),
    "tampered": Deviation(id_token=tampered),
}


def liberal(metadata: Json) -> Json:
    """A provider that allows everything: what it lists must not decide what is accepted."""
    return {**metadata, "id_token_signing_alg_values_supported": ["none", "HS256", "RS256"]}


@pytest.fixture(scope="module")
def liberal_app(serve_module: Serve, shared_provider: Provider) -> App:
    """An application that met metadata which list weak algorithms."""
    with shared_provider.deviating(Deviation(metadata=liberal)):
        app = serve_module(shared_provider)
        Person(app, "alice").signs_in().close()
    return app


@pytest.mark.parametrize("app_fixture", ["strict_app", "liberal_app"])
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_id_token_is_refused(
    request: pytest.FixtureRequest,
    provider: Provider,
    arrive: Arrive,
    app_fixture: str,
    forgery: Deviation,
) -> None:
    alice = arrive(request.getfixturevalue(app_fixture), "alice")
    with provider.deviating(forgery):
        answer = alice.sign_in()
    assert_refused(alice, answer, 502)
    alice.signs_in()


def test_new_keys_are_taken_and_old_ones_let_go(
    strict_app: App, provider: Provider, arrive: Arrive
) -> None:
    arrive(strict_app, "alice").signs_in()
    withdrawn = provider.key
    provider.rotate()
    arrive(strict_app, "alice").signs_in()
    with provider.deviating(signed(lambda _: withdrawn.sign, kid=withdrawn.kid)):
        alice = arrive(strict_app, "alice")
        assert_refused(alice, alice.sign_in(), 502)


# The token endpoint


def answering(body: str, status: int = 200, mimetype: str = "application/json") -> Answer:
    return lambda _provider: Response(body, status, mimetype=mimetype)


BAD_TOKEN_ANSWERS = {
    "no ID token": Deviation(token_response=lambda a: {"access_token": a["access_token"]}),
    "ID token null": with_id_token(None),
    "ID token empty": with_id_token(""),
    "ID token a number": with_id_token(7),
    "ID token a list": with_id_token(["a.b.c"]),
    "ID token not three parts": with_id_token("a.b"),
    "ID token not base64": with_id_token("!.!.!"),
    "ID token not JSON": with_id_token("YQ.YQ.YQ"),
    "ID token of five parts": with_id_token("a.b.c.d.e"),
    "no access token either": Deviation(token_response=lambda _: {}),
    "HTML": Deviation(answers={"token": answering("<h1>Welcome</h1>", mimetype="text/html")}),
    "garbage": Deviation(answers={"token": answering("{")}),
    "not UTF-8": Deviation(answers={"token": lambda _: Response(b"\xff\xfe", 200)}),
    "a JSON list": Deviation(answers={"token": answering("[]")}),
    "JSON null": Deviation(answers={"token": answering("null")}),
    "nothing": Deviation(answers={"token": answering("")}),
    "our secret is wrong": Deviation(
        answers={"token": answering('{"error": "invalid_client"}', 401)}
    ),
}


@pytest.mark.parametrize("bad", BAD_TOKEN_ANSWERS.values(), ids=BAD_TOKEN_ANSWERS.keys())
def test_a_bad_answer_with_the_token_is_refused(
    alice: Person, provider: Provider, bad: Deviation
) -> None:
    with provider.deviating(bad):
        answer = alice.sign_in()
    assert_refused(alice, answer, 502)
    alice.signs_in()


# The callback: RFC 9207


@pytest.mark.parametrize("issuer", [OTHER, "", None])
def test_an_answer_from_another_issuer_is_refused(
    alice: Person, provider: Provider, issuer: str | None
) -> None:
    def mixed_up(answer: Json) -> Json:
        return {k: v for k, v in {**answer, "iss": issuer}.items() if v is not None}

    with provider.deviating(Deviation(callback=mixed_up)):
        answer = alice.sign_in()
    assert_refused(alice, answer, 400, 502)
    alice.signs_in()


def test_a_denial_from_another_issuer_is_refused(alice: Person, provider: Provider) -> None:
    with provider.deviating(Deviation(callback=lambda a: {**a, "iss": OTHER})):
        answer = alice.http.get(alice.choose(alice.begin(), "deny"))
    assert_refused(alice, answer, 400, 502)


# The metadata: Discovery section 4.3

BAD_METADATA: dict[str, Deviation] = {
    "issuer another": Deviation(metadata=lambda m: {**m, "issuer": OTHER}),
    "issuer with a slash": Deviation(metadata=lambda m: {**m, "issuer": f"{m['issuer']}/"}),
    "issuer missing": Deviation(metadata=lambda m: {k: v for k, v in m.items() if k != "issuer"}),
    "issuer a list": Deviation(metadata=lambda m: {**m, "issuer": [m["issuer"]]}),
    "no authorization endpoint": Deviation(
        metadata=lambda m: {**m, "authorization_endpoint": None}
    ),
    "authorization endpoint a script": Deviation(
        metadata=lambda m: {**m, "authorization_endpoint": "javascript:alert(1)"}
    ),
    "token endpoint a file": Deviation(
        metadata=lambda m: {**m, "token_endpoint": "file:///etc/passwd"}
    ),
    "no keys": Deviation(metadata=lambda m: {k: v for k, v in m.items() if k != "jwks_uri"}),
    "a list": Deviation(answers={"discovery": answering("[]")}),
    "null": Deviation(answers={"discovery": answering("null")}),
    "HTML": Deviation(answers={"discovery": answering("<h1>Hi</h1>", mimetype="text/html")}),
    "garbage": Deviation(answers={"discovery": answering("{")}),
}


@pytest.fixture(scope="module")
def unmet_provider() -> Iterator[Provider]:
    """Good for nothing unless a test has it otherwise: an application asks from its start on."""
    away = Deviation(answers={"discovery": answering("Away", status=503)})
    with servers.providing() as provider, provider.deviating(away):
        yield provider


@pytest.fixture(scope="module")
def unmet_app(serve_module: Serve, unmet_provider: Provider) -> App:
    """An application that never got good metadata, so that it asks at each sign-in."""
    return serve_module(unmet_provider)


@pytest.mark.parametrize("bad", BAD_METADATA.values(), ids=BAD_METADATA.keys())
def test_bad_metadata_is_refused(
    unmet_app: App, unmet_provider: Provider, arrive: Arrive, bad: Deviation
) -> None:
    alice = arrive(unmet_app, "alice")
    with unmet_provider.deviating(bad):
        assert_refused(alice, alice.sign_in(), 502)


BAD_KEYS = {
    "garbage": answering("{"),
    "HTML": answering("<h1>Keys</h1>", mimetype="text/html"),
    "a list": answering("[]"),
    "none": answering('{"keys": []}'),
    "keys of no kind": answering('{"keys": [{"kty": "?"}, 7, null]}'),
}


@pytest.mark.parametrize("bad", BAD_KEYS.values(), ids=BAD_KEYS.keys())
def test_bad_keys_are_refused_and_not_kept(
    liberal_app: App, provider: Provider, arrive: Arrive, bad: Answer
) -> None:
    alice = arrive(liberal_app, "alice")
    provider.rotate()  # so that the application asks for the keys again
    with provider.deviating(Deviation(answers={"jwks": bad})):
        assert_refused(alice, alice.sign_in(), 502)
    alice.signs_in()


# Out of order

OUT_OF_ORDER = {
    "500": answering("", 500, "text/plain"),
    "500 with JSON": answering('{"error": "server_error"}', 500),
    "503": answering("<h1>Maintenance</h1>", 503, "text/html"),
    "404": answering("<h1>Not found</h1>", 404, "text/html"),
}


@pytest.mark.parametrize("answer", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER.keys())
@pytest.mark.parametrize("endpoint", ["token", "jwks"])
def test_an_endpoint_that_is_out_of_order(
    alice: Person, provider: Provider, endpoint: str, answer: Answer
) -> None:
    provider.rotate()  # so that the application asks for the keys again
    with provider.deviating(Deviation(answers={endpoint: answer})):
        assert_refused(alice, alice.sign_in(), 502, 503)
    alice.signs_in()


@pytest.mark.parametrize("answer", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER.keys())
def test_discovery_that_is_out_of_order(
    unmet_app: App, unmet_provider: Provider, arrive: Arrive, answer: Answer
) -> None:
    alice = arrive(unmet_app, "alice")
    with unmet_provider.deviating(Deviation(answers={"discovery": answer})):
        assert_refused(alice, alice.sign_in(), 502, 503)


# Away


def test_the_application_starts_without_its_provider(
    serve: Serve, new_provider: Provider, arrive: Arrive
) -> None:
    """And keeps nothing of a provider that comes back wrong, once it comes back right."""
    with new_provider.deviating(BAD_METADATA["issuer another"]):
        with new_provider.down():
            alice = arrive(serve(new_provider), "alice")
            assert_refused(alice, alice.sign_in(), 503)
        assert_refused(alice, alice.sign_in(), 502)
    alice.signs_in()


def test_a_provider_that_goes_away_during_a_sign_in(alice: Person, provider: Provider) -> None:
    callback = alice.choose(alice.begin())
    with provider.down():
        assert_refused(alice, alice.http.get(callback), 503)
    alice.signs_in()


# Slow


def hanging(provider: Provider) -> Response:
    """Takes the request, and says nothing for half a minute."""
    provider.hang()
    return Response(status=504)


def dripping(provider: Provider) -> Response:
    """A byte now and then: a limit on each read alone would wait for ever."""

    def drops() -> Iterator[bytes]:
        while provider.hang(0.5):
            yield b" "

    return Response(drops(), mimetype="application/json")


def assert_told_in_time(app: App, provider: Provider, arrive: Arrive, slow: Deviation) -> None:
    """Alice is told within the time, and meanwhile everyone else is served."""
    alice, bystander = arrive(app, "alice"), arrive(app, "bob")
    with provider.deviating(slow), ThreadPoolExecutor(1) as executor:
        started = time.monotonic()
        answer = executor.submit(alice.sign_in)
        assert provider.held.wait(5), "the slow endpoint was not asked"
        assert bystander.http.get("/", timeout=1).status_code == 200
        assert not answer.done()
        assert_refused(alice, answer.result(PATIENCE_S), 503)
        assert time.monotonic() - started < PATIENCE_S


def test_slow_metadata(unmet_app: App, unmet_provider: Provider, arrive: Arrive) -> None:
    deviation = Deviation(answers={"discovery": hanging})
    assert_told_in_time(unmet_app, unmet_provider, arrive, deviation)


@pytest.mark.parametrize(("endpoint", "slow"), [("token", dripping), ("jwks", hanging)])
def test_a_slow_endpoint(
    strict_app: App, provider: Provider, arrive: Arrive, endpoint: str, slow: Answer
) -> None:
    provider.rotate()  # so that the application asks for the keys again
    assert_told_in_time(strict_app, provider, arrive, Deviation(answers={endpoint: slow}))
    arrive(strict_app, "alice").signs_in()
