"""The collection is importable by its full name from a plain clone."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "collections"))
