"""Tests here share the helpers of the folder above; `tests/test_devices.py` runs them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
