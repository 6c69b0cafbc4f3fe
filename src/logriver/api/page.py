"""`/`: the web page, and its own files under `/ui/`. They hold no data, so they need no token.

The files are read once and served from memory; a browser that has one asks by its tag whether it still holds.
"""

import hashlib
import mimetypes
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import pages
from logriver.errors import NotFound

_FOLDER = Path(__file__).parent.parent / "ui"
_POLICY = "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'"
_HEADERS = pages.headers(_POLICY) | {"Cache-Control": "no-cache"}
_TYPES = {".js": "text/javascript"}


class _File:
    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
        self.tag = f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False)
    files = {path.relative_to(_FOLDER).as_posix(): _File(path) for path in _FOLDER.rglob("*") if path.is_file()}
    modules = sorted(name for name in files if name.endswith(".js"))
    # All modules are asked for at once, not each when the one before has been read.
    preload = ", ".join(f"</ui/{name}>; rel=modulepreload" for name in modules)

    @routes.get("/")
    @routes.head("/")
    async def get_page(request: Request) -> Response:
        return _answer(request, files["index.html"], {"Link": preload})

    @routes.get("/ui/{name:path}")
    @routes.head("/ui/{name:path}")
    async def get_file(request: Request, name: str) -> Response:
        if name not in files:
            raise NotFound(f"nothing has the address {request.url.path[:100]!r}")
        return _answer(request, files[name], {})

    return routes


def _answer(request: Request, file: _File, more: dict[str, str]) -> Response:
    headers = _HEADERS | more | {"ETag": file.tag}
    if request.headers.get("if-none-match", "").removeprefix("W/") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.type)
