"""Version 1 of the forms in `record_forms.py`: maps by names that must never change, whatever the code calls things."""

import msgspec

from logriver.record_forms import CommittedFileForm, FileForm, FileRangeForm, GapForm


class _GenerationV1(msgspec.Struct, frozen=True):
    follower: str
    device: int
    inode: int
    head_length: int
    head_hash: str
    life: int = 0


class _GapV1(msgspec.Struct, frozen=True):
    offset: int
    bytes: int
    exact: bool
    reason: str
    noticed_ns: int
    lost: bool = True


class FileRangeV1(msgspec.Struct, frozen=True):
    """A range of a file in segments and agents' messages of version 1."""

    generation: _GenerationV1
    path: str
    start: int
    end: int
    crc: int
    tail: bytes
    place: tuple[int, int] | None = None
    over: bool = False
    gone_ns: int = 0
    gap: _GapV1 | None = None

    def form(self) -> FileRangeForm:
        """The same in the present form."""
        return FileRangeForm(
            _file_form(self.generation),
            self.path,
            self.start,
            self.end,
            self.crc,
            self.tail,
            self.place,
            self.over,
            self.gone_ns,
            None if self.gap is None else _gap_form(self.gap),
        )


class HeldV1(msgspec.Struct, frozen=True):
    """What is known of a file, in the queue's file and in messages of version 1."""

    generation: _GenerationV1
    path: str
    end: int
    crc: int
    tail: bytes
    moved_to: tuple[int, int] | None = None
    over: bool = False
    gone_ns: int = 0
    gaps: tuple[_GapV1, ...] = ()
    last_event_ns: int = 0

    def form(self) -> CommittedFileForm:
        """The same in the present form."""
        return CommittedFileForm(
            _file_form(self.generation),
            self.path,
            self.end,
            self.crc,
            self.tail,
            self.moved_to,
            self.over,
            self.gone_ns,
            tuple(map(_gap_form, self.gaps)),
            self.last_event_ns,
        )


def held_v1(form: CommittedFileForm) -> HeldV1:
    """The present form as version 1 had it."""
    file = form.file
    generation = _GenerationV1(
        file.follower, file.device, file.inode, file.head_length, file.head_hash, file.incarnation
    )
    gaps = tuple(_GapV1(gap.offset, gap.bytes, gap.exact, gap.reason, gap.noticed_ns, gap.lost) for gap in form.gaps)
    return HeldV1(
        generation,
        form.path,
        form.end,
        form.crc,
        form.tail,
        form.moved_to,
        form.over,
        form.gone_ns,
        gaps,
        form.last_event_ns,
    )


def _file_form(file: _GenerationV1) -> FileForm:
    return FileForm(file.follower, file.device, file.inode, file.head_length, file.head_hash, file.life)


def _gap_form(gap: _GapV1) -> GapForm:
    return GapForm(gap.offset, gap.bytes, gap.exact, gap.reason, gap.noticed_ns, gap.lost)
