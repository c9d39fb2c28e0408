"""Signed tokens (RFC 7515) made by hand: a library would refuse to make the wrong ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Json = dict[str, Any]


@dataclass(frozen=True)
class SigningKey:
    """An RSA key pair with the name (`kid`) under which its public half is published."""

    kid: str = field(default_factory=lambda: secrets.token_hex(8))
    private: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    def sign(self, data: bytes) -> bytes:
        return self.private.sign(data, padding.PKCS1v15(), SHA256())

    def signed(self, data: bytes, signature: bytes) -> bool:
        try:
            self.private.public_key().verify(signature, data, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def jwk(self) -> Json:
        """The public half as RFC 7517 writes it."""
        numbers = self.private.public_key().public_numbers()
        public = {"n": _number(numbers.n), "e": _number(numbers.e)}
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, **public}

    def pem(self) -> bytes:
        return self._public(Encoding.PEM)

    def der(self) -> bytes:
        return self._public(Encoding.DER)

    def _public(self, encoding: Encoding) -> bytes:
        public = self.private.public_key()
        return public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def token(header: Json, claims: Json, sign: Callable[[bytes], bytes]) -> str:
    """The compact serialization of `claims`, signed by whatever `sign` does."""
    signed = f"{_encoded(header)}.{_encoded(claims)}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    """A signature for `token` that needs only a secret, or what someone takes for one."""
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


def verified(compact: str, keys: Iterable[SigningKey]) -> Json | None:
    """The claims of an RS256 token that one of `keys` signed; None for every other string."""
    try:
        head, body, signature = compact.split(".")
        header, claims = json.loads(unb64(head)), json.loads(unb64(body))
        proof = unb64(signature)
    except ValueError:
        return None
    if header.get("alg") != "RS256":
        return None
    good = any(key.signed(f"{head}.{body}".encode(), proof) for key in keys)
    return claims if good else None


def b64(data: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(part: Json) -> str:
    return b64(json.dumps(part).encode())


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))
