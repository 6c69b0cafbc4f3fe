"""What generated applications say. Lists have lengths that are powers of two or are drawn from by remainder.

A message's `%d` is filled with a number, so that lines of one template differ.
"""

LEVELS = ("info",) * 10 + ("debug",) * 2 + ("warn",) * 2 + ("error",) * 2

SERVICES = ("checkout", "catalog", "payments", "accounts", "search", "mailer", "gateway", "inventory")

REGIONS = ("eu-west-1", "us-east-1", "ap-south-1", "eu-central-1")

MESSAGES = {
    "debug": (
        "cache miss for key session:%d",
        "worker %d picked up job from the queue",
        "connection %d returned to the pool",
        "retry policy evaluated for request %d",
    ),
    "info": (
        "request %d handled successfully",
        "user %d signed in from a new device",
        "order %d accepted and queued for payment",
        "session %d refreshed its token",
        "worker started with %d open connections",
        "snapshot written in %d milliseconds",
        "invoice %d delivered to the customer",
        "background job %d finished without errors",
    ),
    "warn": (
        "slow query took %d milliseconds",
        "queue depth reached %d items",
        "retrying upstream call for request %d",
        "disk usage is high on volume %d",
    ),
    "error": (
        "Failed to connect to DB after %d milliseconds",
        "payment gateway timeout for order %d",
        "invalid payload in request %d",
        "upstream connection refused for request %d",
    ),
}

STATUSES = (200,) * 22 + (201,) * 4 + (304, 400, 404, 404, 500, 503)

METHODS = ("GET", "GET", "GET", "GET", "GET", "POST", "PUT", "DELETE")

PATHS = tuple(f"/api/v1/resource{number}" for number in range(1, 17))
