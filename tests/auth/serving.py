"""A server that listens on several addresses, and clients that ask it from anywhere."""

import contextlib
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from itertools import count
from pathlib import Path

import httpx

TOKEN = "a token that nobody guesses"
# To read all authorities anew for each client takes longer than all else that it does.
AUTHORITIES = ssl.create_default_context()
Headers = dict[str, str]

_senders = count(2)


def fresh_address() -> str:
    """An address of this machine that has not sent a wrong token yet: those are counted."""
    number = next(_senders)
    return f"127.1.{number // 250}.{number % 250 + 2}"


@dataclass
class Site:
    """A server that listens on loopback and elsewhere."""

    scheme: str
    process: subprocess.Popen[str]
    verify: ssl.SSLContext
    said: list[str]
    loopback: str = ""
    outside: str = ""
    loopback6: str = ""
    clients: list[httpx.Client] = field(default_factory=list)

    def hear(self, addresses: int, internal_log: Path) -> None:
        """Wait until the server has said so many addresses."""
        assert self.process.stdout is not None
        urls: list[str] = []
        while len(urls) < addresses:
            line = self.process.stdout.readline()
            assert line, internal_log.read_text()
            self.said.append(line)
            urls += re.findall(r"logriver listens on (\S+)", line)
        self.scheme = urls[0].partition(":")[0]
        self.loopback, self.outside, self.loopback6 = [*urls, "", ""][:3]

    def client(self, url: str, sender: str | None = None, **headers: str) -> httpx.Client:
        transport = httpx.HTTPTransport(verify=self.verify, local_address=sender)
        client = httpx.Client(base_url=url, transport=transport, headers=headers, timeout=60)
        self.clients.append(client)
        return client

    def connection(self, url: str) -> HTTPConnection:
        """For many requests one after the other: quicker than a client, and opened again where an answer has no end."""
        host, port = httpx.URL(url).host, httpx.URL(url).port
        if self.scheme == "https":
            return HTTPSConnection(host, port, context=self.verify, timeout=60)
        return HTTPConnection(host, port, timeout=60)

    def from_fresh_address(self, url: str, method: str, path: str, headers: Headers) -> httpx.Response:
        transport = httpx.HTTPTransport(verify=self.verify, local_address=fresh_address())
        with httpx.Client(base_url=url, transport=transport, timeout=60) as client:
            return client.request(method, path, headers=headers)


@contextlib.contextmanager
def serving(data: Path, *arguments: str, environment: Headers | None = None) -> Iterator[Site]:
    """A server and what it says until it has said all of its addresses."""
    command = [sys.executable, "-m", "logriver", "serve", "--data", str(data), *arguments]
    given = {"LOGRIVER_TOKEN": TOKEN, "LOGRIVER_TRUST_LOOPBACK": "true"} if environment is None else environment
    with data.with_name(f"{data.name}.log").open("w") as internal_log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=internal_log, text=True, env={**os.environ, **given}
        )
    site = Site("", process, AUTHORITIES, [])
    try:
        site.hear(max(1, arguments.count("--listen")), data.with_name(f"{data.name}.log"))
        yield site
    finally:
        for client in site.clients:
            client.close()
        process.terminate()
        assert process.stdout is not None
        site.said += process.stdout.readlines()
        process.stdout.close()
        process.wait(60)
    assert process.returncode == 0


def certificate_for(directory: Path, *names: str) -> tuple[Path, Path]:
    """A certificate of one's own and its key."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=logriver"
    given = ["-addext", f"subjectAltName={','.join(names)}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*ask.split(), *given], check=True, capture_output=True)
    return certificate, key
