"""Format `nginx`: access log lines in the combined format of nginx and Apache."""

from collections.abc import Iterator
from random import Random

from logriver.generate.times import utc
from logriver.generate.vocabulary import METHODS, PATHS, STATUSES

_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0 Safari/537.36",
    "curl/8.9.1",
    "kube-probe/1.30",
)
_REFERERS = ("-", "-", "https://example.com/", "https://example.com/account")


def lines(random: Random, start_ns: int, step_ns: int) -> Iterator[bytes]:
    """Endless lines, the first at `start_ns`, each `step_ns` after the one before."""
    time_ns = start_ns
    while True:
        bits = random.getrandbits(64)
        client = f"10.{bits % 4}.{(bits >> 2) % 256}.{(bits >> 10) % 254 + 1}"
        status = STATUSES[(bits >> 18) % 32]
        sent_bytes = 0 if status == 304 else (bits >> 23) % 60_000 + 120
        yield (
            f"{client} - - [{utc(time_ns // 1_000_000_000, '%d/%b/%Y:%H:%M:%S +0000')}] "
            f'"{METHODS[(bits >> 39) % 8]} {PATHS[(bits >> 42) % 16]}?page={(bits >> 46) % 20} HTTP/1.1" '
            f'{status} {sent_bytes} "{_REFERERS[(bits >> 51) % 4]}" "{_AGENTS[(bits >> 53) % 4]}"\n'
        ).encode()
        time_ns += step_ns
