"""Let the tests of the documents import the modules in their folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pages, commands
