"""All that is wrong with the settings themselves, where a start stops at the first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .. import config
from .finding import Finding, problem

AT_OKTA = (
    "the app's page at Okta shows it (Applications → … → General); "
    "put it into .okta.env or the environment"
)
# For the lines that don't say it themselves.
MENDS = {
    "OKTA_OAUTH2_ISSUER is not set": (
        "set OKTA_DOMAIN=dev-123456.okta.com, or the issuer: see README.md, With Okta; "
        "only `make run` does without, with a stand-in"
    ),
    "OKTA_OAUTH2_CLIENT_ID is not set": AT_OKTA,
    "OKTA_OAUTH2_CLIENT_SECRET is not set": AT_OKTA,
}


def find(environ: Mapping[str, str] | None) -> Iterator[Finding]:
    for line in config.problems(environ):
        mends = [mend for start, mend in MENDS.items() if line.startswith(start)]
        yield problem(line, *mends)
