"""`/`: the web page, and its own files under `/ui/`. They hold no data, so they need no token.

The files are read once and served from memory. The style sheets that the page names are sent as one, and so are its
modules, under names that change with their content: a browser asks for each once, and not again before it is another.
"""

import gzip
import hashlib
import mimetypes
import re
from functools import cached_property
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from logriver.api import page_script, pages
from logriver.errors import NotFound

_FOLDER = Path(__file__).parent.parent / "ui"
_POLICY = "script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'"
_ASK_AGAIN = {"Cache-Control": "no-cache"}
_KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}
_TYPES = {".js": "text/javascript"}
_STYLES = re.compile(r'(?:<link rel="stylesheet" href="/ui/[^"]+">\s*)+')
_SCRIPT = re.compile(r'<script type="module" src="/ui/([^"]+)">')


class _File:
    def __init__(self, name: str, content: bytes, caching: dict[str, str]) -> None:
        self.content = content
        self.type = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "text/plain"
        self.tag = f'"{_hash(content)}"'
        self.headers = pages.headers(_POLICY) | caching | {"ETag": self.tag, "Vary": "Accept-Encoding"}

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content)


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False)
    files = _files()

    @routes.get("/")
    @routes.head("/")
    async def get_page(request: Request) -> Response:
        return _answer(request, files["index.html"])

    @routes.get("/ui/{name:path}")
    @routes.head("/ui/{name:path}")
    async def get_file(request: Request, name: str) -> Response:
        if name not in files:
            raise NotFound(f"nothing has the address {request.url.path[:100]!r}")
        return _answer(request, files[name])

    return routes


def _files() -> dict[str, _File]:
    """All files by their names, and the joined ones, which the page names instead of those they are made of."""
    content = {path.relative_to(_FOLDER).as_posix(): path.read_bytes() for path in _FOLDER.rglob("*") if path.is_file()}
    index = content["index.html"].decode()
    styles = "".join(content[name].decode() for name in re.findall(r'rel="stylesheet" href="/ui/([^"]+)"', index))
    modules = {name: text.decode() for name, text in content.items() if name.endswith(".js")}
    first = _SCRIPT.search(index)
    assert first, "the page names its first module"
    script = page_script.joined(modules, first[1])
    style_name, script_name = f"page-{_hash(styles.encode())}.css", f"page-{_hash(script.encode())}.js"
    index = _STYLES.sub(f'<link rel="stylesheet" href="/ui/{style_name}">\n', index, count=1)
    content["index.html"] = _SCRIPT.sub(f'<script type="module" src="/ui/{script_name}">', index).encode()
    files = {name: _File(name, text, _ASK_AGAIN) for name, text in content.items()}
    joined = {style_name: styles, script_name: script}
    return files | {name: _File(name, text.encode(), _KEEP) for name, text in joined.items()}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _answer(request: Request, file: _File) -> Response:
    if request.headers.get("if-none-match", "").removeprefix("W/") == file.tag:
        return Response(status_code=304, headers=file.headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(file.content, headers=file.headers, media_type=file.type)
    return Response(file.compressed, headers=file.headers | {"Content-Encoding": "gzip"}, media_type=file.type)
