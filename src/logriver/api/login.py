"""`/login`: a person gives the token once, and the browser holds a session instead.

The page has no script. The token comes in a body, never in an address, and the cookie does not contain it.
"""

from html import escape
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from logriver.api import parameters
from logriver.auth.door import LOGIN_PATH, Door
from logriver.auth.sessions import COOKIE, LIFE_SECONDS
from logriver.errors import LogriverError, Overloaded

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Logriver: log in</title>
<link rel="icon" href="data:,">
</head>
<body>
<h1>Logriver</h1>
<p role="status">{message}</p>
<form method="post" action="{action}">
<label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Log in</button>
</form>
</body>
</html>
"""
_GREETING = "This server needs its token."


def router(door: Door) -> APIRouter:
    """The routes; `door` makes the sessions."""
    routes = APIRouter(tags=["doors"])

    @routes.get(LOGIN_PATH, summary="A page to give the token to")
    async def get_login(request: Request) -> Response:
        return _page(request, _GREETING, 200)

    described = {
        "requestBody": {
            "content": {
                "application/x-www-form-urlencoded": {
                    "schema": {"type": "object", "properties": {"token": {"type": "string"}}}
                }
            }
        }
    }

    @routes.post(LOGIN_PATH, summary="The token for a session: `token=..`", openapi_extra=described, status_code=303)
    async def post_login(request: Request) -> Response:
        given = await parameters.body(request)
        address = request.client.host if request.client else ""
        try:
            session = door.log_in(address, given.get("token", "").strip())
        except LogriverError as refusal:
            return _refused(request, refusal)
        answer = RedirectResponse(_next(request), 303, _HEADERS)
        answer.set_cookie(
            COOKIE, session, max_age=LIFE_SECONDS, httponly=True, samesite="strict", secure=_is_encrypted(request)
        )
        return answer

    return routes


def _refused(request: Request, refusal: LogriverError) -> Response:
    answer = _page(request, f"Not let in: {refusal.message}.", refusal.status)
    if isinstance(refusal, Overloaded):
        answer.headers["Retry-After"] = str(refusal.retry_after_seconds)
    return answer


def _page(request: Request, message: str, status: int) -> Response:
    query = request.url.query
    action = escape(f"{LOGIN_PATH}?{query}" if query else LOGIN_PATH)
    return HTMLResponse(_PAGE.format(message=escape(message), action=action), status, _HEADERS)


def _next(request: Request) -> str:
    """Where the person wanted to go, if that is here."""
    wanted = dict(parse_qsl(request.url.query)).get("next", "/")
    # Browsers read a backslash as a slash, and drop tabs and line ends: either could lead elsewhere.
    is_here = wanted.startswith("/") and not urlsplit(wanted).netloc and wanted.isprintable() and "\\" not in wanted
    return wanted if is_here and not wanted.startswith("//") else "/"


def _is_encrypted(request: Request) -> bool:
    """Here, or in front of a proxy that says so; who lies about it only gets a cookie that is kept closer."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
