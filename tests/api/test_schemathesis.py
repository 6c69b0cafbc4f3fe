"""The HTTP API as it describes itself: every call is named, and whatever schemathesis makes of it is answered."""

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from logriver.decode.wire.ranges import CONTENT_TYPE
from tests.conftest import RunningServer


@schemathesis.serializer(CONTENT_TYPE)
def made_up_batch(context: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
SECONDS = 30
# Each call as the outside knows it, with what it can be given in its address.
CALLS = {
    "GET /api/v1/search": "q from to limit order cursor",
    "POST /api/v1/search": "",
    "GET /api/v1/histogram": "q from to buckets by tz",
    "GET /api/v1/fields": "q from to",
    "GET /api/v1/fields/{name}/values": "name q from to limit",
    "POST /api/v1/fields/{name}/promotion": "name",
    "DELETE /api/v1/fields/{name}/promotion": "name",
    "GET /api/v1/stats": "q from to tz",
    "POST /api/v1/stats": "",
    "GET /api/v1/context": "id before after",
    "GET /api/v1/patterns": "q from to limit",
    "GET /api/v1/tail": "q after",
    "POST /api/v1/sql": "",
    "GET /api/v1/explain": "q from to",
    "GET /api/v1/suggest": "q at",
    "GET /api/v1/status": "",
    "GET /api/v1/sources": "q source limit cursor",
    "GET /api/v1/sources/lines": "source start end",
    "GET /logs": "filename keyword n regex ignore_case multiline from to hostname",
    "GET /api/v1/files": "path agent",
    "GET /api/v1/files/search": "q from to limit max_bytes agent",
    "GET /api/v1/agents": "",
    "GET /api/v1/damage": "",
    "POST /api/v1/damage/{id}/acknowledge": "id",
    "GET /api/v1/dead-letters": "limit cursor",
    "POST /api/v1/dead-letters/{id}/replay": "id",
    "POST /api/v1/logs": "Idempotency-Key Content-Encoding wait format zone service multiline",
    "GET /api/v1/ranges": "follower format",
    "POST /api/v1/ranges": "Content-Encoding",
    "POST /": "Content-Encoding",
    "POST /logs/ingest/": "Content-Encoding",
    "POST /fetch_logs": "",
    "POST /logs/filter/": "",
    "GET /levels": "",
    "GET /resources": "",
    "GET /init_filter": "",
    "GET /customers/{customer}/stats": "customer from_date daily",
    "GET /customers/customer/stats/all": "from_date daily",
    "GET /health": "",
    "GET /ready": "",
    "GET /metrics": "",
    "GET /login": "",
    "POST /login": "",
    "POST /logout": "",
}


def test_the_description_names_every_call_with_its_parameters(server: RunningServer) -> None:
    paths = server.client.get("/openapi.json").json()["paths"]
    described = {
        f"{method.upper()} {path}": {parameter["name"] for parameter in call.get("parameters", [])}
        for path, calls in paths.items()
        for method, call in calls.items()
    }
    assert described == {call: set(names.split()) for call, names in CALLS.items()}


def test_every_call_says_what_it_answers_and_what_a_body_is(server: RunningServer) -> None:
    for path, calls in server.client.get("/openapi.json").json()["paths"].items():
        for method, call in calls.items():
            assert call["summary"], path
            assert {"200", "303"} & set(call["responses"]), path
            takes_body = method == "post" and not path.endswith(("/promotion", "/logout", "/acknowledge"))
            assert ("requestBody" in call) == takes_body, path


def test_made_up_calls_get_a_clear_answer(server: RunningServer) -> None:
    """Good and bad ones, from the description alone; what is refused is refused in the shape that it says."""
    described = server.client.get("/openapi.json").json()
    # An answer of the live tail has no end.
    del described["paths"]["/api/v1/tail"]
    schema = schemathesis.openapi.from_dict(described)
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == len(CALLS) - 1
    made = 0

    @settings(max_examples=200, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def call(data: st.DataObject) -> None:
        nonlocal made
        operation = data.draw(st.sampled_from(operations))
        mode = data.draw(st.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        answer = case.call(base_url=server.url, timeout=SECONDS)
        case.validate_response(answer, checks=CHECKS)
        made += 1

    call()
    assert made > 100
