"""A query uses every core also where the engine was given little memory."""

import os
import re
from pathlib import Path

import pytest

from logriver.store.embedded import Embedded


@pytest.mark.parametrize("memory_bytes", [600_000_000, 2_000_000_000])
def test_little_memory_leaves_a_query_its_cores(tmp_path: Path, memory_bytes: int) -> None:
    store = Embedded(tmp_path, "node", memory_bytes, 1_000_000)
    try:
        plan = store.query_text("EXPLAIN PIPELINE SELECT sum(number) FROM numbers_mt(100000000)", "TSVRaw").decode()
    finally:
        store.close()
    cores = min(len(os.sched_getaffinity(0)), 2)
    assert bool(re.search(r"AggregatingTransform \S 2\n", plan)) is (cores == 2), plan
