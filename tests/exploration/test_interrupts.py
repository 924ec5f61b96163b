"""Interrupts that come while a finalizer runs."""

import signal
import threading

import pytest

from dnnzip.exploration.interrupts import interrupts_kept


class Finalized:
    """Gets an interrupt while it is finalized."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def raising():
    """As in a terminal, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_in_a_finalizer_is_raised_by_the_check():
    with interrupts_kept() as check:
        finalized = Finalized()
        check()
        del finalized
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_interrupts_are_raised_at_once():
    with interrupts_kept(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_where_none_is_raised_none_is_kept():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_kept() as check:
        signal.raise_signal(signal.SIGINT)
        check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_leaves_the_signal_alone():
    handlers = []

    def work() -> None:
        with interrupts_kept() as check:
            check()
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]
