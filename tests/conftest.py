"""Make the project's own files importable, and choose how long properties are tried."""

import os
import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# "ci" is quick and the same every time; HYPOTHESIS_PROFILE=long looks for what nobody thought of.
settings.register_profile("ci", max_examples=30, deadline=None, derandomize=True, database=None)
settings.register_profile("long", max_examples=100_000, deadline=None, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
