"""Answers that a browser shows as a page: each may load and do only what its policy names, and nothing else.

What came in as a log must never run as a script, so no policy allows a script or a style inside of the page.
"""

from starlette.responses import HTMLResponse

_FOR_ALL = "frame-ancestors 'none'; base-uri 'none'"


def headers(policy: str) -> dict[str, str]:
    """The headers of a page with this policy, given without what holds for all: nothing else, and no frames."""
    return {
        "Content-Security-Policy": f"default-src 'none'; {policy}; {_FOR_ALL}",
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
    }


def page(content: str, policy: str, status: int = 200) -> HTMLResponse:
    """`content` as a page."""
    return HTMLResponse(content, status, headers(policy))
