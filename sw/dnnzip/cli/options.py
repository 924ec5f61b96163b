"""Options of the command line to the fields of a request, as messages of the library name them."""

from dnnzip.errors import with_fields


def option(field: str) -> str:
    """Return the option that sets a field: ``--max-error`` for ``max_error``."""
    return "--" + field.replace("_", "-")


def with_options(text: str) -> str:
    """Return a text in which fields are named as options."""
    return with_fields(text, option)
