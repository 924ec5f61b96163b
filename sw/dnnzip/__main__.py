"""The program ``dnnzip``, also ``python -m dnnzip``.

It imports next to nothing before signals are heeded: whoever interrupts a start sees one line, as later.
"""

from dnnzip.system import signals


def main() -> None:
    """Run the command line; whatever ends it, no temporary file and no process of its own stays behind."""
    signals.end_at_once()
    from dnnzip.cli.main import main as run
    from dnnzip.system import streams, temporary

    try:
        signals.interrupt()
        streams.occupy()
        run()
    finally:
        signals.ignore()
        temporary.remove_all()
        if signals.came():
            temporary.remove_leftovers()


if __name__ == "__main__":
    main()
