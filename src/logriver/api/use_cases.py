"""What the routes answer with: one object for each use case, ready-made by the composition root."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from logriver.api.replay import Replay
from logriver.api.source_list import SourceList
from logriver.auth.access_control import AccessControl
from logriver.compat.customers import CustomerStatistics
from logriver.compat.distinct import Distinct
from logriver.compat.record_search import RecordSearch
from logriver.federated.agent_registry import Agents
from logriver.federated.hosts import Hosts
from logriver.ingest.endpoint import Route
from logriver.queue.damage import Damages
from logriver.queue.dead_letters import DeadLetters
from logriver.record import SearchedSink
from logriver.search.context import Context
from logriver.search.explain import Explain
from logriver.search.export import Export
from logriver.search.fields import FieldList
from logriver.search.hints import Hints
from logriver.search.histogram import Histograms
from logriver.search.patterns import PatternList
from logriver.search.search import Search
from logriver.search.source_lines import SourceLines
from logriver.search.sql import Sql
from logriver.search.stats import Statistics
from logriver.search.status import Status
from logriver.search.suggest import Suggestions
from logriver.search.tail import Tail
from logriver.search.unknown_fields import UnknownFields
from logriver.search.values import FieldValues
from logriver.store.materialized import Materialization


@dataclass(frozen=True, slots=True)
class CompatUseCases:
    """Those of the earlier systems' calls."""

    search: RecordSearch
    levels: Distinct
    resources: Distinct
    customers: CustomerStatistics


@dataclass(frozen=True, slots=True)
class UseCases:
    """All of them. A new one gets a field here, is built in `logriver/use_cases.py`, and its routes go to `app.py`."""

    search: Search
    export: Export
    tail: Tail
    context: Context
    sql: Sql

    statistics: Statistics
    histograms: Histograms
    fields: FieldList
    values: FieldValues
    patterns: PatternList
    promotion: Materialization

    suggestions: Suggestions
    explain: Explain
    hints: Hints
    unknown_fields: UnknownFields

    status: Status
    sources: SourceList
    source_lines: SourceLines
    hosts: Hosts
    agents: Agents
    damage: Damages
    dead_letters: DeadLetters
    replay: Replay
    compat: CompatUseCases


@dataclass(frozen=True, slots=True)
class ServerState:
    """The running server, as far as a route asks for it itself. The callables are cheap and never block.

    `ingest` are the calls that bring records. `status` gives every key of the status call but `stored`, `incomplete`
    what every answer is without, `not_ready` the reasons why the server is not ready, empty when it is. `acknowledged`
    is the highest number on disk. A reader that takes nothing for `export_idle_seconds` is cut off.
    """

    access: AccessControl
    sink: SearchedSink
    ingest: Sequence[Route]
    status: Callable[[], Mapping[str, object]]
    incomplete: Callable[[], Sequence[str]]
    not_ready: Callable[[], Sequence[str]]
    acknowledged: Callable[[], int]
    export_idle_seconds: float
    max_record_bytes: int
