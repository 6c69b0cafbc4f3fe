"""What the calls of SQL and of the login page take as their body, and what they say of another."""

from typing import Any

import pytest

from tests.conftest import RunningServer

MISSING = ("bad_request", "the body has no parameter 'query'", 'send {"query": "SELECT .. FROM logs"}')


def error_of(answer: Any) -> tuple[str, str, str | None]:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    return error["code"], error["message"], error["hint"]


@pytest.mark.parametrize("body", ["", "{}", '{"query":null}', '{"sql":"SELECT 1"}', "sql=SELECT+1"])
def test_a_statement_has_to_be_there(server: RunningServer, body: str) -> None:
    assert error_of(server.client.post("/api/v1/sql", content=body)) == MISSING
    # In the address it would be in the logs of every proxy.
    assert error_of(server.client.post("/api/v1/sql?query=SELECT+1", content=body)) == MISSING


@pytest.mark.parametrize("body", ["SELECT 1", "[1]", '{"query":{}}', "\xff"])
def test_a_body_that_names_nothing_is_refused(server: RunningServer, body: str) -> None:
    code, message, _ = error_of(server.client.post("/api/v1/sql", content=body.encode("latin-1")))
    assert code == "bad_request"
    assert message.startswith("the body is neither a JSON object of parameters nor a form")


@pytest.mark.parametrize("body", ['{"query":"SELECT 1 AS n","more":1}', "query=SELECT+1+AS+n"])
def test_a_statement_comes_as_json_or_a_form(server: RunningServer, body: str) -> None:
    answer = server.client.post("/api/v1/sql", content=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"] == [[1]]


def test_parameters_that_no_call_has_are_refused(server: RunningServer) -> None:
    answer = server.client.post("/api/v1/sql?qery=x", json={"query": "SELECT 1"})
    assert error_of(answer) == ("bad_request", "unknown parameter 'qery'", "did you mean 'query'?")


def test_both_are_described(server: RunningServer) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    sql = paths["/api/v1/sql"]["post"]["requestBody"]
    assert sql["required"] is True
    assert sql["content"]["application/json"]["schema"]["required"] == ["query"]
    form = paths["/login"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert form["properties"]["token"]["description"]
    assert "required" not in form


@pytest.mark.parametrize("body", [b"", b"other=1", b"token=", b"token=wrong", b"{}"])
def test_a_login_without_the_token_shows_the_page_again(server: RunningServer, body: bytes) -> None:
    answer = server.client.post("/login", content=body)
    assert answer.status_code == 401
    assert "Not let in: wrong token." in answer.text
