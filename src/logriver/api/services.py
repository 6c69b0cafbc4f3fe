"""What the routes need, given by the composition root."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from logriver.api.source_list import Statuses
from logriver.auth.access_control import AccessControl
from logriver.federated.agent_registry import Agents
from logriver.file_position import Committed
from logriver.files.asked import AskedFiles
from logriver.ingest.endpoint import Route
from logriver.queue.damage import Damages
from logriver.queue.dead_letters import DeadLetters
from logriver.record import SearchedSink
from logriver.search.desk import Desk
from logriver.settings import Settings
from logriver.store.promotion import Promotion


@dataclass(frozen=True, slots=True)
class Services:
    """The running server, as far as an answer needs it. The callables are cheap and never block.

    `desk` is where questions to the store wait their turn, `ingest` are the calls that bring records.
    `promoted` are the keys of fields that have columns in the store, `promotion` changes them, which blocks. `mark` is
    the visible mark. `status` gives every key of the status call but `stored`. `incomplete` is what every answer is
    without. `ready` gives the reasons why the server is not ready, empty when it is.
    `acknowledged` is the highest number on disk. `ledger` gives every generation of every follower, `followed` what the
    connected ones say of their files, `format_of` the format of a file, None for what is not followed.
    `files` are those of this machine, `agents` the agents that dialled in.
    `stopping` says that the server has been asked to end: what would go on for ever ends by itself.
    `refusal` is the exception: it may block. It gives the reason why the store could not read rows, None if it could.
    """

    settings: Settings
    desk: Desk
    ingest: Sequence[Route]
    promoted: Callable[[], frozenset[str]]
    promotion: Promotion
    mark: Callable[[], int]
    status: Callable[[], Mapping[str, object]]
    incomplete: Callable[[], Sequence[str]]
    ready: Callable[[], Sequence[str]]
    acknowledged: Callable[[], int]
    ledger: Callable[[], list[Committed]]
    followed: Callable[[], Statuses]
    files: AskedFiles
    agents: Agents
    access: AccessControl
    letters: DeadLetters
    damage: Damages
    sink: SearchedSink
    format_of: Callable[[str], str | None]
    refusal: Callable[[bytes], str | None]
    stopping: Callable[[], bool]
