"""The output of a statement that writes a file, piece by piece while it is being written.

The engine's own streaming begins a new file (a CSV header, a whole Parquet file) with every piece. Written into a pipe
it is one file, and a slow reader holds the engine back.
"""

import os
import threading
from collections.abc import Callable, Generator

PIECE_BYTES = 65_536
"""The most that a pipe holds."""
_PAUSE_SECONDS = 0.05


def read_while_written(write: Callable[[str], object], kill: Callable[[], None]) -> Generator[bytes, None, None]:
    """What `write` writes to the path that it is given, and then what it raised.

    `kill` ends `write` from outside. Closing the iterator does, and returns when `write` has returned. One thread at a
    time may use the iterator.
    """
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def work() -> None:
        try:
            write(f"/dev/fd/{writing}")
        except Exception as error:  # noqa: BLE001  (raised again by the reader)
            failures.append(error)
        finally:
            os.close(writing)

    writer = threading.Thread(target=work, name="stream", daemon=True)
    writer.start()
    try:
        while piece := os.read(reading, PIECE_BYTES):
            yield piece
        writer.join()
        if failures:
            raise failures[0]
    finally:
        # Whoever is stuck in writing gets an error from a pipe that nobody reads; whoever computes has to be killed.
        os.close(reading)
        while writer.is_alive():
            kill()
            writer.join(_PAUSE_SECONDS)
