"""A command as a filter of Unix: its result on stdout, silent when nobody reads on, exit codes as grep's."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from logriver.cli.render import output
from logriver.errors import LogriverError

NOTHING_FOUND = 1
ERROR = 2
INTERRUPTED = 130


@contextmanager
def exit_codes(query: str) -> Iterator[None]:
    """Ends the command after an error: 2 for one of ours, 130 at Ctrl-C, by SIGPIPE when nobody reads on.

    `query` is what an error's position points into.
    """
    try:
        yield
        sys.stdout.flush()
    except LogriverError as error:
        sys.stdout.flush()
        output.point_at(query, error.position)
        output.fail(error.message, hint=error.hint, code=ERROR)
    except BrokenPipeError:
        _end_by_sigpipe()
    except OSError as error:
        _give_up_stdout()
        output.fail(str(error), code=ERROR)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def write(text: str) -> None:
    """Print `text`; what the terminal's encoding does not have is written out."""
    write_bytes(text.encode(sys.stdout.encoding, "backslashreplace"))


def write_bytes(data: bytes) -> None:
    """Print bytes as they are."""
    sys.stdout.buffer.write(data)


def _end_by_sigpipe() -> None:
    # As other filters end. Not the default from the start on: it would also end us when a server closes a connection.
    _give_up_stdout()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # Whoever started us may have blocked it, and that is inherited.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPIPE])
    os.kill(os.getpid(), signal.SIGPIPE)


def _give_up_stdout() -> None:
    """Let what is left in the buffer go nowhere when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
