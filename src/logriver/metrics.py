"""Every metric, declared once with its meaning and unit; `GET /metrics` shows them.

Counters end in `_total`, times in `_seconds`, sizes in `_bytes`. The hot path counts per batch or per group commit,
never per record.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

# A series `_created` beside each counter says when the process began, and as a gauge that is none of ours by its name.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"logriver_{name}", meaning, labels, registry=REGISTRY)


def _gauge(name: str, meaning: str, *labels: str) -> Gauge:
    return Gauge(f"logriver_{name}", meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, *buckets: float) -> Histogram:
    return Histogram(f"logriver_{name}", meaning, buckets=buckets, registry=REGISTRY)


accepted = _counter("records_accepted", "records on disk and acknowledged", "protocol")
rejected = _counter("records_rejected", "records refused; the sender was told, or they became dead letters", "protocol")
duplicate_batches = _counter("duplicate_batches", "batches recognised as sent before and not stored again")
connections_ended = _counter("connections_ended", "connections that the server ended for a reason of its own", "reason")
turned_away = _counter("requests_turned_away", "requests answered 429 or 503", "reason")
wrong_tokens = _counter("wrong_tokens", "requests and logins with a wrong token")

log_bytes = _counter("queue_written_bytes", "bytes written to the log")
log_syncs = _counter("queue_syncs", "fdatasync calls on the log")
sync_seconds = _histogram("queue_sync_seconds", "time of one group commit", 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2)
sync_failures = _counter("queue_sync_failures", "group commits that failed; their senders were told")
damaged_records = _counter("queue_damaged_records", "records lost to damage of the log, as far as that is known")
damage_open = _gauge("queue_damage_unacknowledged", "damages of the log that nobody has acknowledged")
backlog_bytes = _gauge("queue_backlog_bytes", "log not yet in the store")

stored = _counter("records_stored", "records put into the store and verified")
blocks = _counter("blocks_stored", "blocks put into the store and verified")
block_seconds = _histogram("block_seconds", "time to insert and verify one block", 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
insert_failures = _counter("insert_failures", "inserts that failed and are tried again", "code")
damaged_parts = _counter(
    "damaged_parts",
    "damaged parts: restored from what they were made of, indexes rebuilt, or put aside",
    "outcome",
)
set_aside_parts = _gauge("set_aside_parts", "damaged parts that are set aside: answers are without their records")
set_aside_records = _gauge("set_aside_records", "records in them, as far as their counts can be read")
dead_letters = _counter("dead_letters", "records that became dead letters")
dead_letters_removed = _counter("dead_letters_removed", "dead letters removed because their limit was reached")
keys_expired = _counter("keys_expired_by_count", "idempotency keys forgotten early because a million were newer")

removed = _counter("records_removed_by_retention", "records removed because of their age or the space they took")
disk_own_bytes = _gauge("disk_own_bytes", "disk that store, log and state have, parts being deleted included")
disk_limit_bytes = _gauge("disk_limit_bytes", "disk that they may have")
disk_free_bytes = _gauge("disk_free_bytes", "disk that is free")

loop_failures = _counter("loop_failures", "turns of the process's own loops that failed and are tried again", "loop")
internal_log_lost = _counter(
    "internal_log_lost", "lines of the internal log that are not in the store: too many, or refused"
)
queries = _counter("queries", "queries answered", "call")
queries_cancelled = _counter("queries_cancelled", "queries ended because nobody waits for their answer any more")
query_seconds = _histogram("query_seconds", "time of one query", 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30)
unmatched_lines = _counter(
    "followed_unmatched_lines", "lines of followed files that are not of their user's format, taken as text"
)
followed_bytes = _counter("followed_bytes", "bytes of followed files on disk")
followed_gaps = _counter("followed_gaps", "times that a file lost bytes before they could be read")
followed_lost_bytes = _counter("followed_lost_bytes", "bytes of followed files known to be lost before they were read")
# By follower and not by file: there are few machines, and paths come and go.
agents = _gauge("agents", "agents that have a channel open")
followed_lag_bytes = _gauge("followed_lag_bytes", "bytes of followed files that are not on disk here", "follower")
followed_lag_seconds = _gauge("followed_lag_seconds", "for how long the oldest of them has been there", "follower")
