"""Every error that Logriver raises on purpose, in one tree.

    LogriverError
    +-- BadRequest                 the caller's words are wrong                    400
    |   +-- BadQuery               a search text or parameter, with its position   400
    |   +-- BadBody                a body of which nothing is acceptable           400
    +-- Unauthenticated            the token is missing or wrong                   401
    +-- Forbidden                  from a place that is not let in                 403
    +-- NotFound                                                                   404
    +-- RequestTimeout             a head that came too slowly                     408
    +-- BodyTimeout                a body that came too slowly                     408
    +-- RangeConflict              a file range that does not continue the ledger 409
    +-- NameTaken                  an agent's name that another agent has          409
    +-- TooLarge                                                                   413
    +-- TargetTooLong              a request line over its limit                   414
    +-- UnknownEncoding                                                            415
    +-- Unprocessable              understood, and impossible                      422
    |   +-- KeyReused              an idempotency key with other content           422
    +-- Overloaded                 come back later; the limit is ours              429
    +-- HeadersTooLarge            headers or trailers over their limit            431
    +-- QueryTooExpensive          a query met a limit                             422
    +-- Unavailable                the disk or the engine does not take it now     503
    +-- StoreError                 the engine refused or failed; carries its code  500
    |   +-- DataRefused            only this: the data itself cannot be stored     500
    +-- DataDirectoryError         locked, too new, unreadable: the process ends   -
    +-- SettingsError              a setting that cannot be used: the process ends -

`api/errors.py` and the endpoints of `ingest/` turn them into answers. A message is lower case, without a full
stop, with the offending value quoted and cut short.
"""


class LogriverError(Exception):
    """The root. `status` is the HTTP status, `code` the stable word in the answer, `hint` what to do about it."""

    status = 500
    code = "internal"

    def __init__(self, message: str, *, hint: str | None = None, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.position = position

    def answer(self) -> dict[str, object]:
        """What a caller is told, as the value of `error` in the answer."""
        return {"code": self.code, "message": self.message, "position": self.position, "hint": self.hint}


class BadRequest(LogriverError):
    """The caller's words are wrong; the same call will fail again."""

    status = 400
    code = "bad_request"


class BadQuery(BadRequest):
    """A search text or a parameter of a query that cannot be read; `position` is the character it went wrong at."""

    code = "bad_query"


class BadBody(BadRequest):
    """A body of which nothing was acceptable."""

    code = "bad_body"


class Unauthenticated(LogriverError):
    """The token is missing or wrong."""

    status = 401
    code = "unauthenticated"


class Forbidden(LogriverError):
    """A foreign name or page asks where only this machine itself may."""

    status = 403
    code = "forbidden"


class NotFound(LogriverError):
    """Nothing has that address, or there are no data for it."""

    status = 404
    code = "not_found"


class RequestTimeout(LogriverError):
    """The head of a request did not arrive within its deadline."""

    status = 408
    code = "request_timeout"


class BodyTimeout(LogriverError):
    """The body did not arrive, or came too slowly."""

    status = 408
    code = "body_timeout"


class RangeConflict(LogriverError):
    """A byte range of a file that does not start where the ledger ends. `held_end` is where to go on."""

    status = 409
    code = "range_conflict"

    def __init__(self, message: str, *, held_end: int) -> None:
        super().__init__(message, hint=f"go on from byte {held_end}")
        self.held_end = held_end

    def answer(self) -> dict[str, object]:
        """See `LogriverError.answer`, with where to go on."""
        return {**super().answer(), "held_end": self.held_end}


class NameTaken(LogriverError):
    """An agent has the name of another one that lives."""

    status = 409
    code = "name_taken"


class TooLarge(LogriverError):
    """A body over its limit, as sent or inflated."""

    status = 413
    code = "too_large"


class TargetTooLong(LogriverError):
    """A request line over its limit."""

    status = 414
    code = "target_too_long"


class UnknownEncoding(LogriverError):
    """A Content-Encoding other than identity, gzip and zstd."""

    status = 415
    code = "unknown_encoding"


class Unprocessable(LogriverError):
    """Well-formed words that cannot be true, such as a date in the future."""

    status = 422
    code = "unprocessable"


class KeyReused(Unprocessable):
    """An idempotency key that came before with other content."""

    code = "key_reused"


class QueryTooExpensive(Unprocessable):
    """A query that met a limit of time, memory or size; the hint says what to narrow."""

    code = "query_too_expensive"


class Overloaded(LogriverError):
    """A limit of ours is reached for now. `retry_after_seconds` says when to come back."""

    status = 429
    code = "overloaded"

    def __init__(self, message: str, *, retry_after_seconds: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Overloaded):
    """The disk or the engine cannot take it now; nothing of the request was kept."""

    status = 503
    code = "unavailable"


class HeadersTooLarge(LogriverError):
    """The headers or trailers of a request, or what frames its body, are over their limit."""

    status = 431
    code = "headers_too_large"


class StoreError(LogriverError):
    """The engine refused or failed. `engine_code` is ClickHouse's number (0 when it gave none).

    `detail` are the engine's own words, with paths: for the log, never for an answer. `parts` are the parts of the
    table that they name.
    """

    code = "store"

    def __init__(self, message: str, *, engine_code: int = 0, detail: str = "", parts: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint="the server's internal log says more" if detail else None)
        self.engine_code = engine_code
        self.detail = detail
        self.parts = parts
        if detail:
            # For tracebacks in the log.
            self.add_note(detail)


class DataRefused(StoreError):
    """The engine cannot parse the data themselves; `row` (from 0) is the first such row of the block.

    The message says which value, and is what a dead letter shows. Everything else is a `StoreError` and is tried again.
    """

    code = "data_refused"

    def __init__(
        self, message: str, *, engine_code: int, row: int = 0, detail: str = "", parts: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, engine_code=engine_code, detail=detail, parts=parts)
        self.row = row


class DataDirectoryError(LogriverError):
    """The data directory is locked by another process, written by a newer version, or cannot be used."""

    code = "data_directory"


class SettingsError(LogriverError):
    """A setting that does not exist or cannot be used; names the nearest known one."""

    code = "settings"
