"""Damage to the log is counted, logged, kept and shown until somebody acknowledges it, wherever it is."""

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import RunningServer
from tests.crash_clients import body, found, stored, wait_until_stored
from tests.queue.test_log_damage import (
    BATCHES,
    RECORDS,
    Place,
    cut_the_last_record,
    flip,
    flip_in_an_index,
    places,
    segments,
)
from tests.test_crash import HELD, SMALL, NewServer
