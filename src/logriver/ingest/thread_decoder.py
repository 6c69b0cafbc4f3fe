"""A decoder for requests, which are decoded on the event loop and on several threads."""

import threading

from logriver.decode.decoder import Decoder, MakeDecoder, Options, State
from logriver.record import Decoded


class ThreadDecoder:
    """A `Decoder` for any threads: each has an instance of its own."""

    def __init__(self, make: MakeDecoder) -> None:
        self._make = make
        self._local = threading.local()

    def decode(self, data: bytes, options: Options, state: State) -> tuple[Decoded, State]:
        """See `Decoder`."""
        return self._decoder().decode(data, options, state)

    def whole(self, data: bytes, options: Options, state: State) -> int:
        """See `Decoder`."""
        return self._decoder().whole(data, options, state)

    def _decoder(self) -> Decoder:
        decoder: Decoder | None = getattr(self._local, "decoder", None)
        if decoder is None:
            decoder = self._local.decoder = self._make()
        return decoder
