"""Customer statistics of a running server, against the definitions written out in Python."""

import itertools
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import httpx
import pytest

TODAY = datetime.now(UTC).date()
DAY = TODAY - timedelta(days=3)

Requests = list[tuple[str, int, float]]
"""Time, status, seconds."""
Send = Callable[..., str]


@pytest.fixture(scope="module")
def client(server: Any) -> Any:
    with httpx.Client(base_url=server.url, timeout=30) as opened:
        yield opened


@pytest.fixture
def send(client: httpx.Client) -> Send:
    """Send requests of a new customer; gives the customer."""

    def sent(requests: Requests, customer: str = "") -> str:
        customer = customer or f"cust_{uuid.uuid4().hex}"
        records = [
            {
                "timestamp": time,
                "message": f"{customer} /api {status} {seconds}",
                "customer": customer,
                "path": "/api",
                "status": status,
                "latency_seconds": seconds,
            }
            for time, status, seconds in requests
        ]
        answer = client.post("/api/v1/logs?wait=searchable", content=json.dumps(records))
        assert answer.status_code == 200, answer.text
        return customer

    return sent


def expected(requests: Requests) -> dict[str, object]:
    latencies = sorted(seconds for _, _, seconds in requests)
    count = len(latencies)
    good = sum(status < 400 for _, status, _ in requests)
    return {
        "total_requests": count,
        "successful_requests": good,
        "failed_requests": count - good,
        "uptime": round(100 * good / count, 5),
        "average_latency": pytest.approx(sum(latencies) / count, abs=0.6e-5),
        "median_latency": round(latencies[count // 2], 5),
        "p99_latency": round(latencies[int(count * 0.99) - 1] if count >= 100 else latencies[-1], 5),
    }


def some(count: int, seed: int, day: str = f"{DAY}") -> Requests:
    random = Random(seed)
    return [
        (
            f"{day}T{random.randrange(24):02}:15:35Z",
            random.choice((200, 204, 399, 400, 503)),
            random.randrange(4000) / 1000,
        )
        for _ in range(count)
    ]


def test_the_example_of_the_earlier_system(client: httpx.Client, send: Send) -> None:
    latencies, statuses = (1.5, 0.8, 1.7, 1.6), (200, 201, 500, 400)
    customer = send([(f"{DAY}T10:00:00Z", s, x) for s, x in zip(statuses, latencies, strict=True)])
    answer = client.get(f"/customers/{customer}/stats", params={"from_date": f"{DAY}"})
    assert answer.json() == {
        "total_requests": 4,
        "successful_requests": 2,
        "failed_requests": 2,
        "uptime": 50.0,
        "average_latency": 1.4,
        "median_latency": 1.6,
        "p99_latency": 1.7,
    }


@pytest.mark.parametrize("count", [1, 2, 3, 99, 100, 101, 199, 200, 1234])
def test_figures_follow_their_definitions(client: httpx.Client, send: Send, count: int) -> None:
    requests = some(count, seed=count)
    customer = send(requests)
    answer = client.get(f"/customers/{customer}/stats", params={"from_date": f"{DAY}"})
    assert answer.json() == expected(requests)


def test_days_and_their_borders(client: httpx.Client, send: Send) -> None:
    next_day = DAY + timedelta(days=1)
    first, second = some(120, 1), some(7, 2, f"{next_day}")
    before: Requests = [(f"{DAY - timedelta(days=1)}T23:59:59.999999999Z", 500, 9.9)]
    tomorrow: Requests = [(f"{TODAY + timedelta(days=2)}T00:00:01Z", 500, 9.9)]
    at_start: Requests = [(f"{DAY}T00:00:00Z", 200, 0.1)]
    customer = send(first + second + before + tomorrow + at_start)
    asked = {"from_date": f"{DAY}", "daily": "true"}
    answer = client.get(f"/customers/{customer}/stats", params=asked).json()
    days = answer.pop("daily")
    assert answer == expected(first + at_start + second)
    assert days == [{"date": f"{DAY}"} | expected(first + at_start), {"date": f"{next_day}"} | expected(second)]


def test_all_customers_together_and_each(client: httpx.Client, send: Send) -> None:
    some_requests, others = some(150, 3), some(20, 4)
    customer, other = send(some_requests), send(others)
    answer = client.get("/customers/customer/stats/all", params={"from_date": f"{DAY}"}).json()
    each = {entry.pop("customer"): entry for entry in answer["customers"]}
    assert each[customer] == expected(some_requests)
    assert each[other] == expected(others)
    assert answer["total_requests"] == sum(entry["total_requests"] for entry in each.values())


def test_only_requests_count(client: httpx.Client, send: Send) -> None:
    customer = send(some(5, 5))
    noise = [
        {"customer": customer, "timestamp": f"{DAY}T01:00:00Z"} | rest for rest in ({"status": 200}, {"status": None})
    ]
    noise.append(noise[0] | {"latency_seconds": "slow"})
    client.post("/api/v1/logs?wait=searchable", content=json.dumps(noise))
    answer = client.get(f"/customers/{customer}/stats", params={"from_date": f"{DAY}"}).json()
    assert answer == expected(some(5, 5))


ODD_VALUES: dict[str, tuple[object, ...]] = {
    "customer": ("a", 5, True, "", None, ["a"], {"x": 1}),
    "status": (200, 404, "200", 200.0, 200.5, True, "", None, [200]),
    "latency_seconds": (0.5, 7, "0.5", "nan", "inf", "slow", True, None, [1], {"x": 1}),
}


def test_columns_of_their_own_change_no_figure(new_server: Callable[..., Any]) -> None:
    odd = [
        {"timestamp": f"{DAY}T01:00:00Z", "customer": customer, "status": status, "latency_seconds": seconds}
        for customer, status, seconds in itertools.product(*ODD_VALUES.values())
    ]
    plain = [
        {"timestamp": time, "customer": f"cust_{number % 3}", "status": status, "latency_seconds": seconds}
        for number, (time, status, seconds) in enumerate(some(400, 8))
    ]

    def figures(running: Any) -> list[object]:
        paths = ["customer/stats/all", "cust_1/stats", "a/stats", "5/stats", "true/stats"]
        asked = {"from_date": f"{DAY}", "daily": "true"}
        answers = [running.client.get(f"/customers/{path}", params=asked).json() for path in paths]
        assert running.stop() == 0
        return answers

    running = new_server()
    running.client.post("/api/v1/logs?wait=searchable", json=odd + plain)
    read_out_of_json = figures(running)
    of_a = read_out_of_json[2]
    assert isinstance(of_a, dict)
    # Four statuses are whole numbers (as a text, too), three latencies are numbers.
    assert (of_a["total_requests"], of_a["successful_requests"]) == (4 * 3, 3 * 3)

    running = new_server(LOGRIVER_PROMOTE=json.dumps(list(ODD_VALUES)))
    assert figures(running) == read_out_of_json


@pytest.mark.parametrize(
    "customer", ["a/b", "o'brien", "{customer:String}", "tab\there", "back\\slash", "ünï", "' OR '1'='1"]
)
def test_a_customers_name_is_data(client: httpx.Client, send: Send, customer: str) -> None:
    requests = some(3, 6)
    name = send(requests, f"{customer}-{uuid.uuid4().hex}")
    url = httpx.URL(client.base_url, raw_path=f"/customers/{_escaped(name)}/stats?from_date={DAY}".encode())
    assert client.get(url).json() == expected(requests)


def _escaped(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize(
    "date", ["", "2024-13-01", "2024-02-30", "yesterday", f"{TODAY + timedelta(days=2)}", "²024-01-01"]
)
@pytest.mark.parametrize("path", ["/customers/cust_1/stats", "/customers/customer/stats/all"])
def test_a_date_that_is_none_or_in_the_future(client: httpx.Client, path: str, date: str) -> None:
    answer = client.get(path, params={"from_date": date})
    assert answer.status_code == 422
    assert list(answer.json()) == ["detail"]


def test_no_date_at_all(client: httpx.Client) -> None:
    answer = client.get("/customers/cust_1/stats")
    assert (answer.status_code, list(answer.json())) == (422, ["detail"])


def test_no_data(client: httpx.Client, send: Send) -> None:
    customer = send(some(1, 7))
    late = client.get(f"/customers/{customer}/stats", params={"from_date": f"{TODAY}"})
    nobody = client.get("/customers/nobody/stats", params={"from_date": "0001-01-01"})
    nameless = client.get("/customers//stats", params={"from_date": f"{DAY}"})
    for answer in (late, nobody, nameless):
        assert (answer.status_code, list(answer.json())) == (404, ["detail"])
