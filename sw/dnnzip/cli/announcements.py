"""Warnings by which libraries announce changes of theirs: for whoever works on dnnzip, not for whoever runs it."""

import os
import sys
import warnings

CATEGORIES = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def ignore_announcements() -> None:
    """Ignore them in this process and in those that it starts, unless ``-W`` or ``PYTHONWARNINGS`` say what to do."""
    if sys.warnoptions:
        return
    for category in CATEGORIES:
        warnings.simplefilter("ignore", category)
    os.environ["PYTHONWARNINGS"] = ",".join(f"ignore::{category.__name__}" for category in CATEGORIES)
