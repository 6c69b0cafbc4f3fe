"""What the routes need, given by the composition root."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from logriver.auth.door import Door
from logriver.queue.dead_letters import DeadLetters
from logriver.record import Sink
from logriver.settings import Settings
from logriver.store.base import Store
from logriver.store.promotion import Promotion


@dataclass(frozen=True, slots=True)
class Services:
    """The running server, as far as an answer needs it. The callables are cheap and never block.

    `promoted` are the keys of fields that have columns in the store, `promotion` changes them, which blocks. `mark` is
    the visible mark. `status` gives every key of the status call but `stored`. `ready` gives the reasons why the server
    is not ready, empty when it is.
    `sources` gives one object for each followed file, `format_of` the format of one, None for what is not followed.
    `stopping` says that the server has been asked to end: what would go on for ever ends by itself.
    `refusal` is the exception: it may block. It gives the reason why the store could not read rows, None if it could.
    """

    settings: Settings
    store: Store
    promoted: Callable[[], frozenset[str]]
    promotion: Promotion
    mark: Callable[[], int]
    status: Callable[[], Mapping[str, object]]
    ready: Callable[[], Sequence[str]]
    sources: Callable[[], Sequence[Mapping[str, object]]]
    door: Door
    letters: DeadLetters
    sink: Sink
    format_of: Callable[[str], str | None]
    refusal: Callable[[bytes], str | None]
    stopping: Callable[[], bool]
