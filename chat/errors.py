"""The kinds of failure, and the one mapper from them to HTTP answers and socket acks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify, render_template, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Action:
    """What a person can do about it: a link on the error page."""

    href: str
    label: str


class ChatError(Exception):
    """A failure that its receiver is told of: `code` for programs, `message` for people."""

    code = "unavailable"
    status = 503
    title = "Something went wrong"
    message = "Something went wrong on our side. Please try again."

    def __init__(
        self,
        message: str | None = None,
        *,
        title: str | None = None,
        status: int | None = None,
        action: Action | None = None,
    ):
        self.message = message or self.message
        self.title = title or self.title
        self.status = status or self.status
        self.action = action
        super().__init__(self.message)

    def payload(self) -> dict[str, Any]:
        """The `error` of the contract: `{"code", "message"}`."""
        return {"code": self.code, "message": self.message}

    def headers(self) -> dict[str, str]:
        return {}


class Unauthenticated(ChatError):
    code, status, title = "unauthenticated", 401, "You are not signed in"
    message = "Sign in to go on."


class Forbidden(ChatError):
    code, status, title = "forbidden", 403, "That is not allowed"
    message = "You may not do this."


class NotFound(ChatError):
    code, status, title = "not_found", 404, "Not found"
    message = "There is nothing here, or you may not see it."


class Invalid(ChatError):
    code, status, title = "invalid", 400, "That did not work"
    message = "The request is not valid."


class TooLarge(ChatError):
    code, status, title = "too_large", 413, "That is too large"
    message = "That is too large."


class TooFast(ChatError):
    code, status, title = "rate_limited", 429, "Too many requests"

    def __init__(self, retry_after: int, **kwargs: Any):
        """`retry_after`: seconds until it may be tried again."""
        super().__init__(f"Too many requests. Try again in {retry_after} s.", **kwargs)
        self.retry_after = retry_after

    def payload(self) -> dict[str, Any]:
        return {**super().payload(), "retry_after": self.retry_after}

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class Unavailable(ChatError):
    """A part that we rely on is away; trying again may help."""

    title = "Not available right now"
    message = "This is not available right now. Please try again in a moment."

    def headers(self) -> dict[str, str]:
        return {"Retry-After": "5"}


class Broken(ChatError):
    """A defect of ours. What it was stands in the log, and nowhere else."""

    status = 500


_BY_STATUS: dict[int, type[ChatError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    413: TooLarge,
    503: Unavailable,
}


def as_chat_error(error: Exception) -> ChatError:
    """The one mapper: what a receiver is told of any exception. Defects are logged here."""
    if isinstance(error, ChatError):
        return error
    if isinstance(error, HTTPException):
        status = error.code or 500
        if status == 429:
            return TooFast(1)
        if status in _BY_STATUS:
            return _BY_STATUS[status]()
        return Invalid(error.description, title=error.name, status=status)
    if isinstance(error, PoolTimeout) or (isinstance(error, DBAPIError) and _passing(error)):
        log.error("the store is not available: %s", error)
        return Unavailable()
    log.exception("unexpected error", exc_info=error)
    return Broken()


def _passing(error: DBAPIError) -> bool:
    """Whether the store was away or busy, rather than asked for something wrong."""
    return error.connection_invalidated or type(error).__name__ == "OperationalError"


def init_app(app: Flask) -> None:
    app.register_error_handler(Exception, answer)


def answer(error: Exception) -> Response:
    """JSON under `/api`, a page elsewhere; never a traceback."""
    if isinstance(error, HTTPException) and error.response is not None:
        return error.response  # type: ignore[return-value]
    problem = as_chat_error(error)
    response = _json(problem) if request.path.startswith("/api/") else _page(problem)
    response.status_code = problem.status
    response.headers.update(problem.headers())
    if isinstance(error, HTTPException):
        response.headers.update({k: v for k, v in error.get_headers() if k == "Allow"})
    return response


def _json(problem: ChatError) -> Response:
    return jsonify(error=problem.payload())


def _page(problem: ChatError) -> Response:
    page = render_template(
        "error.html",
        status=problem.status,
        title=problem.title,
        message=problem.message,
        action=problem.action,
    )
    return Response(page)
