"""The output of a statement that writes a file, piece by piece while it is being written.

The engine's own streaming begins a new file (a CSV header, a whole Parquet file) with every piece. Written into a pipe
it is one file, and a slow reader holds the engine back.
"""

import os
import threading
from collections.abc import Callable, Iterator

from logriver.errors import StoreError

PIECE_BYTES = 65_536
"""The most that a pipe holds."""
_PAUSE_SECONDS = 0.05


class OutputPipe:
    """One such output. `write` writes it to the path that it is given; `kill` ends `write` from outside."""

    def __init__(self, write: Callable[[str], object], kill: Callable[[], None]) -> None:
        self._write = write
        self._kill = kill
        self._reading, self._writing = os.pipe()
        self._ends = threading.Lock()
        self._open = True
        self._is_cut = False
        self._failures: list[BaseException] = []
        self._writer = threading.Thread(target=self._work, name="stream", daemon=True)

    def pieces(self) -> Iterator[bytes]:
        """What is written, once, and then what `write` raised.

        Closing the iterator ends `write`, and returns when `write` has returned. One thread at a time may use it.
        """
        self._writer.start()
        try:
            while piece := os.read(self._reading, PIECE_BYTES):
                self._raise_if_cut()
                yield piece
            self._writer.join()
            self._raise_if_cut()
            if self._failures:
                raise self._failures[0]
        finally:
            # Who is stuck in writing gets an error from a pipe that nobody reads; who computes has to be killed.
            with self._ends:
                self._open = False
                os.close(self._reading)
            while self._writer.is_alive():
                self._kill()
                self._writer.join(_PAUSE_SECONDS)

    def cut(self) -> None:
        """Let `write` end without the reader, who may take its time and then gets `StoreError`."""
        with self._ends:
            if self._is_cut or not self._open:
                return
            # Before anything is taken from the reader: no piece that comes after a missing one is given out.
            self._is_cut = True
            rest = os.dup(self._reading)
        threading.Thread(target=_discard, args=(rest,), name="discard", daemon=True).start()
        self._kill()

    def _work(self) -> None:
        try:
            self._write(f"/dev/fd/{self._writing}")
        except BaseException as error:  # noqa: BLE001  (raised again by the reader)
            self._failures.append(error)
        finally:
            os.close(self._writing)

    def _raise_if_cut(self) -> None:
        if self._is_cut:
            raise StoreError("the stream was cut: the store had to be alone for a moment")


def _discard(reading: int) -> None:
    try:
        while os.read(reading, PIECE_BYTES):
            pass
    finally:
        os.close(reading)
