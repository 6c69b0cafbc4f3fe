"""The shapes in which earlier systems gave errors, by the paths of their calls."""

_CUSTOMERS = "/customers/"
_LOG_INGESTOR = ("/fetch_logs", "/levels", "/resources", "/init_filter")
_LOGS = "/logs/"


def is_customers(path: str) -> bool:
    """Whether a call is one for customer statistics, which answers wrong parameters with 422."""
    return path.startswith(_CUSTOMERS)


def shaped(path: str, message: object) -> dict[str, object] | None:
    """The answer that says `message`; None where the call is Logriver's own."""
    if is_customers(path):
        return {"detail": message}
    if path.startswith(_LOG_INGESTOR):
        return {"message": message}
    return logs_error(message) if path.startswith(_LOGS) else None


def logs_error(message: object) -> dict[str, object]:
    """LogIngestor's shape."""
    return {"status": False, "message": message}
