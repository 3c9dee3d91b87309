"""Signals are held back, told at boundaries, and given back."""

import os
import signal

import pytest

from phi4train.training.ranks import OneRank
from phi4train.training.stopping import StopAsked, StopSignals

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_is_held_back_until_somebody_checks(signum: signal.Signals) -> None:
    with StopSignals(OneRank()) as stop:
        stop.check()
        assert not stop.is_asked()
        os.kill(os.getpid(), signum)
        assert stop.is_asked() and stop.name == signum.name
        for _ in range(2):
            with pytest.raises(StopAsked):
                stop.check()


def test_a_second_ctrl_c_is_not_held_back_and_the_first_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    with StopSignals(OneRank()) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert "press it again to stop at once" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal is signal.SIGINT


def test_a_second_sigterm_changes_nothing() -> None:
    with StopSignals(OneRank()) as stop:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal is signal.SIGTERM


def test_the_handlers_of_before_come_back_whatever_was_put_there_meanwhile() -> None:
    before = [signal.getsignal(signum) for signum in SIGNALS]
    with pytest.raises(KeyError), StopSignals(OneRank()) as stop:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_asked()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise KeyError
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_a_signal_to_another_rank_asks_this_one_too() -> None:
    class OtherIsStopped(OneRank):
        def any(self, flag: bool) -> bool:
            return True

    stop = StopSignals(OtherIsStopped())
    assert stop.is_asked() and stop.name == "a signal to another process"
