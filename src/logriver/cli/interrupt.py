"""Ctrl-C and SIGTERM as a request to finish what is begun."""

import signal
import threading
from types import FrameType


def stop_on_interrupt() -> threading.Event:
    """An event that the first Ctrl-C or SIGTERM sets; the second one raises `KeyboardInterrupt`."""
    stop = threading.Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)

    signal.signal(signal.SIGINT, ask_to_stop)
    signal.signal(signal.SIGTERM, ask_to_stop)
    return stop
