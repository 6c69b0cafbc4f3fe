"""What an answer cost: what the engine read for all the queries it took. And what it is without."""

from dataclasses import dataclass

from logriver.store.base import QueryResult


@dataclass(slots=True)
class Cost:
    """Rows and bytes (not compressed) that were read; `incomplete` as in `QueryResult`."""

    rows_read: int = 0
    bytes_read: int = 0
    incomplete: tuple[str, ...] = ()

    def add(self, answer: QueryResult) -> QueryResult:
        """Count what `answer` read, and give it back."""
        self.rows_read += answer.rows_read
        self.bytes_read += answer.bytes_read
        self.incomplete = answer.incomplete or self.incomplete
        return answer
