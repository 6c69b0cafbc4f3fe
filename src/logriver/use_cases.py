"""The use cases, put together: the composition root of everything that is asked.

`server.py` starts and stops what they work on; here is chosen which of it each of them gets.
"""

from collections.abc import Callable
from dataclasses import dataclass

from logriver.api.replay import Replay
from logriver.api.source_list import SourceList, Statuses
from logriver.api.use_cases import CompatUseCases, UseCases
from logriver.compat.customers import CustomerStatistics
from logriver.compat.distinct import Distinct
from logriver.compat.record_search import RecordSearch, resource_id, sent_level
from logriver.decode.decoder import Decoder
from logriver.federated.agent_registry import Agents
from logriver.federated.hosts import Hosts
from logriver.files.answers import FileAnswers
from logriver.files.asked import AskedFiles
from logriver.follow.follower import Follower
from logriver.query.sql.binding import MaterializedFields
from logriver.queue.wal import Wal
from logriver.search.context import Context
from logriver.search.explain import Explain
from logriver.search.export import Export
from logriver.search.fields import FieldList
from logriver.search.hints import Hints
from logriver.search.histogram import Histograms
from logriver.search.patterns import PatternList
from logriver.search.scheduler import Bounds, QueryScheduler
from logriver.search.search import Search
from logriver.search.source_lines import SourceLines
from logriver.search.sql import Sql
from logriver.search.stats import Statistics
from logriver.search.status import Status
from logriver.search.suggest import Suggestions
from logriver.search.tail import Tail
from logriver.search.unknown_fields import UnknownFields
from logriver.search.values import FieldValues
from logriver.settings import Settings
from logriver.store.embedded import Embedded
from logriver.store.materialized import Materialization
from logriver.store.memory import engine_memory_bytes
from logriver.watermark import Watermark

# One query may have this part of the engine's memory.
_QUERY_SHARE = 4


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a server that use cases work on.

    `followed` is what each connected follower says of its files. `stopping` says that the server has been asked to end:
    what would go on for ever ends by itself.
    """

    settings: Settings
    node: str
    store: Embedded
    queue: Wal
    materialization: Materialization
    follower: Follower
    agents: Agents
    file_answers: FileAnswers
    decoder: Decoder
    followed: Callable[[], Statuses]
    stopping: Callable[[], bool]

    def watermark(self) -> Watermark:
        """Up to where everything is searchable now."""
        return Watermark({self.node: self.queue.watermark})

    def acknowledged_seq(self) -> int:
        """The highest number of this node that is on disk."""
        return self.queue.watermark + self.queue.waiting

    def acknowledged(self) -> Watermark:
        """The highest number of each node that is on disk."""
        return Watermark({self.node: self.acknowledged_seq()})

    def materialized(self) -> MaterializedFields:
        """The keys of the fields that have columns now."""
        return MaterializedFields(self.materialization.keys, self.materialization.uses.note)

    def format_of(self, source: str) -> str | None:
        """The format of a file that this server or a connected agent follows, by its path."""
        followed = [status for statuses in self.followed().values() for status in statuses]
        return next((status.format for status in followed if status.path == source and status.format), None)


def use_cases(parts: Parts) -> UseCases:
    """All of them, over one scheduler: their limits hold for all together."""
    settings = parts.settings
    scheduler = QueryScheduler(parts.store, _bounds(settings))
    watermark = parts.watermark
    asked = scheduler, watermark, parts.materialized
    fields = FieldList(*asked)
    return UseCases(
        search=Search(*asked),
        export=Export(*asked),
        tail=Tail(*asked, parts.acknowledged, settings.max_tails, parts.stopping),
        context=Context(scheduler, watermark),
        sql=Sql(*asked),
        statistics=Statistics(*asked),
        histograms=Histograms(*asked),
        fields=fields,
        values=FieldValues(*asked),
        patterns=PatternList(*asked),
        promotion=parts.materialization,
        suggestions=Suggestions(*asked, fields),
        explain=Explain(*asked),
        hints=Hints(*asked),
        unknown_fields=UnknownFields(*asked),
        status=Status(scheduler, watermark),
        sources=SourceList(parts.queue.sources, parts.followed),
        source_lines=SourceLines(scheduler, watermark),
        hosts=_hosts(parts),
        agents=parts.agents,
        damage=parts.queue.damage,
        dead_letters=parts.queue.dead_letters,
        replay=Replay(
            parts.queue.dead_letters,
            parts.queue,
            parts.format_of,
            parts.store.refusal,
            parts.decoder,
            settings.max_record_bytes,
        ),
        compat=CompatUseCases(
            RecordSearch(*asked),
            Distinct(*asked, sent_level),
            Distinct(*asked, resource_id),
            CustomerStatistics(*asked),
        ),
    )


def _hosts(parts: Parts) -> Hosts:
    settings = parts.settings
    files = AskedFiles(parts.file_answers, chosen="files_root" in settings.model_fields_set)
    return Hosts(settings.follower_name, files, parts.agents)


def _bounds(settings: Settings) -> Bounds:
    engine_bytes = engine_memory_bytes(settings.max_memory_bytes)
    query_bytes = settings.max_query_memory_bytes or engine_bytes // _QUERY_SHARE
    return Bounds(settings.max_queries, settings.max_exports, settings.query_timeout, query_bytes)
