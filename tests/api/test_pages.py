"""What a browser shows as a page may run only the files of this server."""

import re

import pytest

from tests.conftest import RunningServer

SOURCES = re.compile(r"(?:default|script|style|img|connect)-src (?:'none'|(?:'self'|data:)(?: data:)?)")
BOUNDS = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"}


@pytest.mark.parametrize("path", ["/", "/docs", "/login"])
def test_a_page_runs_only_the_files_of_this_server(server: RunningServer, path: str) -> None:
    page = server.client.get(path)
    policy = page.headers["Content-Security-Policy"].split("; ")
    scripts = re.findall(r"<script([^>]*)>([^<]*)", page.text)
    sources = [directive for directive in policy if "-src" in directive]

    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert set(policy) >= BOUNDS
    assert [directive for directive in sources if not SOURCES.fullmatch(directive)] == []
    assert all(content == "" and re.search(r' src="/(docs|ui)/', given) for given, content in scripts)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page.text)
