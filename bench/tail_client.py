"""Reads a live tail and prints how old lines are on arrival: `python -m bench.tail_client` (see `queries.py`)."""

import argparse
import http.client
import json
import time
from datetime import datetime
from urllib.parse import urlencode

from bench.single_client import quantile_ms


def main() -> None:
    """Read for a while and print p50 and p99 of the lines' ages, and how many there were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--query", default="level:error")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    connection = http.client.HTTPConnection(options.host, options.port, timeout=60)
    connection.request("GET", f"/api/v1/tail?{urlencode({'q': options.query})}")
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"the tail was answered {answer.status}")
    ages, end = [], time.monotonic() + options.seconds
    while time.monotonic() < end:
        line = answer.readline()
        if line.startswith(b"data: "):
            now = time.time()
            ages.append(now - datetime.fromisoformat(json.loads(line[6:])["timestamp"]).timestamp())
    connection.close()
    print(json.dumps({"lines": len(ages), "p50": quantile_ms(ages, 0.5), "p99": quantile_ms(ages, 0.99)}))


if __name__ == "__main__":
    main()
