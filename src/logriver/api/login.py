"""`/login`: a person gives the token once, and the browser holds a session instead; `/logout` takes that from it.

The page has no script. The token comes in a body, never in an address, and the cookie does not contain it.
"""

from html import escape
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from logriver.api import pages, parameters
from logriver.auth.access_control import LOGOUT_PATH, AccessControl
from logriver.auth.refusal import LOGIN_PATH
from logriver.auth.sessions import COOKIE, LIFE_SECONDS
from logriver.errors import LogriverError, Overloaded

_POLICY = "img-src data:; form-action 'self'"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Logriver: log in or out</title>
<link rel="icon" href="data:,">
</head>
<body>
<h1>Logriver</h1>
<p role="status">{message}</p>
{form}
</body>
</html>
"""
_LOGIN_FORM = """<form method="post" action="{action}">
<label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label>
<button>Log in</button>
</form>"""
_LOGOUT_FORM = f"""<form method="post" action="{LOGOUT_PATH}">
<button>Log out</button>
</form>"""


class LoginParameters(parameters.Parameters):
    """What the page's form sends."""

    token: Annotated[str, Field(description="the server's token")] = ""


def router(access: AccessControl) -> APIRouter:
    """The routes; `access` makes the sessions."""
    routes = APIRouter(tags=["login"])

    @routes.get(LOGIN_PATH, summary="A page to give the token to, or to log out", response_class=HTMLResponse)
    async def get_login(request: Request) -> Response:
        if access.has_session(request.scope["headers"]):
            return _page("You are logged in.", _LOGOUT_FORM, 200)
        return _page("This server needs its token.", _login_form(request), 200)

    @routes.post(
        LOGIN_PATH,
        summary="The token for a session: `token=..`",
        openapi_extra=parameters.described(LoginParameters, "application/x-www-form-urlencoded"),
        status_code=303,
        response_class=RedirectResponse,
    )
    async def post_login(
        request: Request, given: Annotated[LoginParameters, Depends(parameters.in_body(LoginParameters))]
    ) -> Response:
        address = request.client.host if request.client else ""
        try:
            session = await access.log_in(address, given.token.strip())
        except LogriverError as refusal:
            return _refused(request, refusal)
        return _lead(request, _next(request), session, LIFE_SECONDS)

    @routes.post(
        LOGOUT_PATH, summary="Take the session from the browser", status_code=303, response_class=RedirectResponse
    )
    async def post_logout(request: Request) -> Response:
        return _lead(request, LOGIN_PATH, "", 0)

    return routes


def _lead(request: Request, path: str, session: str, life_seconds: int) -> Response:
    """Lead the browser on, with a session; one that lives 0 seconds is forgotten."""
    answer = RedirectResponse(path, 303, pages.headers(_POLICY))
    secure = _is_encrypted(request)
    answer.set_cookie(COOKIE, session, max_age=life_seconds, httponly=True, samesite="strict", secure=secure)
    return answer


def _refused(request: Request, refusal: LogriverError) -> Response:
    answer = _page(f"Not let in: {refusal.message}.", _login_form(request), refusal.status)
    if isinstance(refusal, Overloaded):
        answer.headers["Retry-After"] = str(refusal.retry_after_seconds)
    return answer


def _login_form(request: Request) -> str:
    query = request.url.query
    return _LOGIN_FORM.format(action=escape(f"{LOGIN_PATH}?{query}" if query else LOGIN_PATH))


def _page(message: str, form: str, status: int) -> Response:
    return pages.page(_PAGE.format(message=escape(message), form=form), _POLICY, status)


def _next(request: Request) -> str:
    """Where the person was going, if that is here."""
    path = dict(parse_qsl(request.url.query)).get("next", "/")
    # Browsers read a backslash as a slash, and drop tabs and line ends: either could lead elsewhere.
    is_here = path.startswith("/") and not urlsplit(path).netloc and path.isprintable() and "\\" not in path
    return path if is_here and not path.startswith("//") else "/"


def _is_encrypted(request: Request) -> bool:
    """Here, or in front of a proxy that says so; who lies about it only gets a cookie that is kept closer."""
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
