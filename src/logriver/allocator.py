"""The C library's allocator (GNU's), which keeps what is freed: a process says here what it wants back.

With another C library nothing happens. The numbers are those of glibc's malloc.h.
"""

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def give_back_blocks(least_bytes: int, *, arenas: int = 0) -> None:
    """From now on give back blocks of so many bytes as soon as they are freed, instead of keeping holes between others.

    Left alone the allocator learns to keep blocks of up to 32 MB. `arenas` bounds how many threads have a store of
    freed memory each; 0 leaves that to it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_THRESHOLD, least_bytes)
    if arenas:
        mallopt(_M_ARENA_MAX, arenas)


def give_back_freed() -> None:
    """Give back what is free now; takes milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
