"""Does what `journalctl` does, for the options that are used: the journal is a file of entries that `JOURNAL` names.

`--after-cursor=C` begins behind that entry, `--no-tail` with the first, `--lines=0` behind the last, `--unit=U` prints
only that unit's; `--follow` waits for more. `JOURNAL_BREAKS=N` ends it with an error after N entries,
`JOURNAL_COMPLAINS=N` has it say N bytes of what it does not like with each.
"""

import json
import os
import select
import sys
from pathlib import Path

options = dict(argument.lstrip("-").partition("=")[::2] for argument in sys.argv[1:])
assert options.keys() >= {"output", "all", "quiet", "follow"}, options
assert len(options.keys() & {"no-tail", "lines"}) == 1, options
unit, cursor, breaks = options.get("unit"), options.get("after-cursor"), int(os.environ.get("JOURNAL_BREAKS", "0"))
printed = 0
reader = select.poll()
reader.register(sys.stdout, 0)
with Path(os.environ["JOURNAL"]).open("rb") as journal:
    if "lines" in options:
        assert options["lines"] == "0"
        journal.read()
    wanted = cursor is None
    while True:
        line = journal.readline()
        if not line.endswith(b"\n"):
            journal.seek(-len(line), os.SEEK_CUR)
            sys.stdout.flush()
            if reader.poll(20):
                sys.exit("nobody reads this any more")
            continue
        entry = json.loads(line)
        if wanted and (unit is None or entry.get("_SYSTEMD_UNIT") == unit):
            sys.stderr.write("." * int(os.environ.get("JOURNAL_COMPLAINS", "0")))
            sys.stdout.buffer.write(line)
            printed += 1
        wanted = wanted or entry["__CURSOR"] == cursor
        if breaks and printed >= breaks:
            sys.stdout.flush()
            sys.exit("Failed to iterate through journal: Bad message")
