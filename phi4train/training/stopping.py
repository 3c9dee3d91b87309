"""Signals that ask a run to stop: after a step, or between two batches or tokens of an evaluation."""

import os
import signal
from types import FrameType
from typing import Any

from phi4train.training.ranks import Ranks

_STOPPING = (
    b"\nCtrl-C: the run is saved and ends after this step, or this batch of an evaluation; "
    b"press it again to stop at once\n"
)


class StopAsked(Exception):
    """Leaves an evaluation that a signal has cut short; whoever started it sees that the state is saved."""


class StopSignals:
    """Holds SIGTERM, SIGUSR1 and Ctrl-C back until the state is saved; a second Ctrl-C stops at once.

    A context: the signals are given back on leaving.

    Args:
        ranks: a signal to one of them stops all.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._previous_handlers: dict[signal.Signals, Any] = {}
        self.signal: signal.Signals | None = None
        """The last one that came."""

    def __enter__(self) -> "StopSignals":
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._previous_handlers.items():
            signal.signal(signum, handler)
        self._previous_handlers.clear()

    def listen(self) -> None:
        """Takes the signals over, again after a library has put handlers of its own there."""
        for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            self._previous_handlers.setdefault(signum, signal.getsignal(signum))
            signal.signal(signum, self._note)

    def is_asked(self) -> bool:
        """Whether a signal has come to any rank; every rank must ask at the same place."""
        return self._ranks.any(self.signal is not None)

    def check(self) -> None:
        """Called between batches and tokens of an evaluation.

        Raises:
            StopAsked: a signal has come.
        """
        if self.is_asked():
            raise StopAsked

    @property
    def name(self) -> str:
        """Name of the signal, for messages."""
        return "a signal to another process" if self.signal is None else self.signal.name

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(signum)
        if signum == signal.SIGINT:
            os.write(2, _STOPPING)  # unlike print, allowed anywhere in a handler
