"""What the server says of where it listens."""

from typing import Any

import pytest


@pytest.mark.parametrize(("given", "here"), [("0.0.0.0:0", "http://127.0.0.1:"), ("[::]:0", "http://[::1]:")])
def test_an_address_that_stands_for_all_says_what_to_type_on_this_machine(
    new_server: Any, given: str, here: str
) -> None:
    server = new_server("--listen", given)
    line = server.process.stdout.readline()
    address, _, hint = line.partition(" (on this machine use ")
    port = address.rpartition(":")[2]
    assert hint == f"{here}{port})\n"
    assert "on this machine" not in server.url
