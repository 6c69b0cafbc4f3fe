"""Who keeps the server waiting: nothing comes for a while, or too little over each window, however much came before."""

from logriver.ingest.progress import LEAST_BYTES_PER_SECOND, Progress

SECONDS = 30


def late_at(amount_at: list[int]) -> int | None:
    """The second in which it is late; what has come by then is given for each second."""
    progress = Progress(0, amount_at[0])
    times = range(1, len(amount_at))
    return next((now for now in times if progress.is_late(now, amount_at[now], SECONDS)), None)


def test_nothing_for_a_while_is_late_at_once_whatever_the_average_is() -> None:
    """The pause begins in the middle of a window, in which enough came."""
    burst = 100 * SECONDS * LEAST_BYTES_PER_SECOND
    assert late_at([0] * 20 + [burst] * 100) == 20 + SECONDS


def test_a_little_is_late_although_much_came_before() -> None:
    burst = 100 * SECONDS * LEAST_BYTES_PER_SECOND
    assert late_at([0, *(burst + second for second in range(200))]) == 2 * SECONDS


def test_the_least_rate_is_enough_for_hours() -> None:
    assert late_at([second * LEAST_BYTES_PER_SECOND for second in range(7200)]) is None
