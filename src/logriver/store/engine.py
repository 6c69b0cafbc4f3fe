"""The engine's own module, loaded without what it brings for data frames: that is 37 MB of memory nobody here uses."""

import sys

# chdb goes without pyarrow where there is none; where somebody has loaded it already, there is nothing to save.
_hidden = "pyarrow" not in sys.modules
if _hidden:
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
try:
    from chdb import ChdbError
    from chdb.session import Session
finally:
    if _hidden:
        del sys.modules["pyarrow"]

__all__ = ["ChdbError", "Session"]
