"""Modules of this folder's tests: compared_networks, network_mutations."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
