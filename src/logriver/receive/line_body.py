"""A request's body that is lines as they are in a file: `POST /api/v1/logs?format=auto`."""

from collections.abc import Mapping
from dataclasses import dataclass

from logriver import clock
from logriver.clock import Zone
from logriver.errors import BadBody, BadRequest
from logriver.protocols import zones
from logriver.protocols.formats import FORMATS, decoder, recognise
from logriver.protocols.labels import Labels
from logriver.protocols.lines import without_mark
from logriver.record import Decoded

_SAMPLE_BYTES = 65_536
_TO_BE_RECOGNISED = "auto"


@dataclass(frozen=True, slots=True)
class LineBody:
    """How such a body is read. `name` is a format's or `auto`, `service` is that of records that name none."""

    name: str
    zone: Zone
    service: str

    def decode(self, body: bytes, max_record_bytes: int, now_ns: int) -> Decoded:
        """Its rows and what was refused. Raises `BadBody` for what is not text or has no line."""
        head = body[:_SAMPLE_BYTES]
        if b"\0" in head:
            hint = "what is compressed says so in Content-Encoding, UTF-16 becomes UTF-8 with iconv"
            raise BadBody("the body is not text: it has zero bytes", hint=hint)
        name = self.name
        if name == _TO_BE_RECOGNISED:
            name = recognise(head[: head.rfind(b"\n") + 1] or head)
        decoded = decoder(name, max_record_bytes, self.zone)(without_mark(body), 0, now_ns)
        if not decoded.count and not decoded.refused:
            raise BadBody("the body has no line")
        if self.service:
            Labels({"service": self.service}).add(decoded)
        return decoded


def line_body(parameters: Mapping[str, str]) -> LineBody | None:
    """What `format`, `zone` and `service` of a request say; None without a format. Raises `BadRequest`."""
    name = parameters.get("format", "")
    if not name:
        useless = next((other for other in ("zone", "service") if parameters.get(other)), None)
        if useless:
            raise BadRequest(f"parameter {useless!r} is for lines", hint="add format=auto; records say their own")
        return None
    known = (_TO_BE_RECOGNISED, *FORMATS)
    if name not in known:
        raise BadRequest(f"unknown format {name[:60]!r}", hint=f"formats are {', '.join(known)}")
    # A plus sign in an address is a blank, and no zone has one in its name.
    zone_name = parameters.get("zone", "").replace(" ", "+")
    try:
        zone = zones.zone(zone_name) if zone_name else clock.local_offset_seconds
    except ValueError as error:
        raise BadRequest(str(error), hint="a zone is UTC, +02:00 or like Europe/Paris") from None
    return LineBody(name, zone, parameters.get("service", ""))
