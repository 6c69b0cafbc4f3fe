"""The one place where an error becomes an answer: `{"error":{"code","message","position","hint"}}` with its status.

The calls of the earlier systems answer in the shapes that these systems had (`compat/error_shapes.py`).
"""

import logging
from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import answers
from logriver.compat import error_shapes
from logriver.errors import LogriverError, Overloaded, StoreError

_CODES = {404: "not_found", 405: "method_not_allowed"}

log = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Let `app` answer errors this way."""
    app.add_exception_handler(LogriverError, _raised)
    app.add_exception_handler(HTTPException, _refused_by_router)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    app.add_exception_handler(Exception, _unexpected)


async def _raised(request: Request, error: Exception) -> Response:
    assert isinstance(error, LogriverError)
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, Overloaded) else {}
    if isinstance(error, StoreError):
        fields = {"path": request.url.path, "code": error.engine_code, "error": error.detail or error.message}
        log.error("the store failed", extra={"fields": fields})
    return _shaped_answer(request, error.status, error.answer(), headers)


async def _refused_by_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = str(error.detail).lower()
    if error.status_code == 404:
        message = f"nothing has the address {request.url.path[:100]!r}"
    headers = error.headers or {}
    hint = f"use {headers['Allow']}" if "Allow" in headers else None
    code = _CODES.get(error.status_code, "bad_request")
    return _answer(request, error.status_code, code, message, hint=hint, headers=headers)


async def _wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    name, value = problem["loc"][-1], str(problem.get("input"))[:60]
    status = 422 if error_shapes.is_customers(request.url.path) else 400
    said = " is missing" if problem["type"] == "missing" else f": {problem['msg'].lower()}, got {value!r}"
    return _answer(request, status, "bad_request", f"parameter {name!r}{said}")


async def _unexpected(request: Request, error: Exception) -> Response:
    """What nobody foresaw; the server logs it with its traceback, the caller is not shown its inside."""
    return _answer(request, 500, "internal", "something went wrong in the server; its internal log says what")


def _answer(
    request: Request,
    status: int,
    code: str,
    message: str,
    position: int | None = None,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    error: dict[str, object] = {"code": code, "message": message, "position": position, "hint": hint}
    return _shaped_answer(request, status, error, headers)


def _shaped_answer(
    request: Request, status: int, error: dict[str, object], headers: Mapping[str, str] | None
) -> Response:
    answer = answers.json(_shaped(request.url.path, error), status)
    answer.headers.update(headers or {})
    return answer


def _shaped(path: str, error: dict[str, object]) -> dict[str, object]:
    return error_shapes.shaped(path, error["message"]) or {"error": error}


def schema(path: str) -> dict[str, object]:
    """The JSON schema of errors of the calls under `path`."""
    words = {"type": "string"}
    maybe = {
        "code": words,
        "message": words,
        "position": {"type": ["integer", "null"]},
        "hint": {"type": ["string", "null"]},
    }
    error = {"type": "object", "properties": maybe, "required": list(maybe)}
    example = _shaped(path, {"message": ""})
    known = {"error": error, "detail": words, "message": words, "status": {"const": False}}
    return {"type": "object", "properties": {name: known[name] for name in example}, "required": list(example)}
