"""Interrupts are noted while a cluster is used, and raised where they are looked for."""

import signal
import threading

import pytest

from dnnzip.exploration import interrupts


@pytest.fixture(autouse=True)
def raising():
    """As in a terminal, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class Finalized:
    """Gets an interrupt while it is finalized, where Python would drop an exception."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def reached():
    """Progress of the block that is tested."""
    return []


def test_an_interrupt_is_raised_by_the_check_alone(reached):
    def block():
        with interrupts.postponed():
            interrupts.check()
            finalized = Finalized()
            del finalized
            reached.append("behind it")
            interrupts.check()
            reached.append("behind the check")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == ["behind it"]
    interrupts.check()


def test_an_interrupt_that_nobody_looks_for_is_raised_at_the_end(reached):
    def block():
        with interrupts.postponed():
            signal.raise_signal(signal.SIGINT)
            reached.append("behind it")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == ["behind it"]
    interrupts.check()


def test_the_error_of_the_block_comes_before_its_interrupt():
    def block():
        with interrupts.postponed():
            signal.raise_signal(signal.SIGINT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    interrupts.check()


def test_the_second_interrupt_is_raised_at_once(reached):
    def block():
        with interrupts.postponed():
            signal.raise_signal(signal.SIGINT)
            reached.append("behind the first")
            signal.raise_signal(signal.SIGINT)
            reached.append("behind the second")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == ["behind the first"]
    interrupts.check()


def test_an_inner_block_leaves_interrupts_to_the_outer_one(reached):
    def block():
        with interrupts.postponed():
            with interrupts.postponed():
                signal.raise_signal(signal.SIGINT)
            reached.append("behind the inner block")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == ["behind the inner block"]


def test_interrupts_that_are_ignored_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts.postponed():
        signal.raise_signal(signal.SIGINT)
        interrupts.check()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_another_thread_changes_nothing():
    handlers = []

    def work() -> None:
        with interrupts.postponed():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
