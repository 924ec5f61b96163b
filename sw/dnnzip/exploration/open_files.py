"""The limit of open files, which decides how many workers one process can look after."""

import resource

from dnnzip.errors import InputError, field_name

OWN, FOR_WORKER = 30, 12
"""Files that are open at once: those of an exploration, and those of each worker, mostly connections to it."""


def workers_within_limit(asked: int | None, usual: int) -> int:
    """Return the number of workers: as many as were asked for, or as usual but within the limit.

    Raises
    ------
    InputError
        The limit is too low for those that were asked for, or for a single one.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = (limit - OWN) // FOR_WORKER if limit != resource.RLIM_INFINITY else usual
    wanted = asked or 1
    if limit != resource.RLIM_INFINITY and wanted > most:
        fewer = ", or take fewer workers" if most > 0 else ""
        raise InputError(
            f"{field_name('workers')} {wanted}",
            f"takes about {OWN + wanted * FOR_WORKER} open files, and the limit is {limit}",
            f"raise it by 'ulimit -n'{fewer}",
        )
    return asked or min(usual, most)
