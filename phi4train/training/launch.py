"""Ranks of one machine: started with the run's configuration, watched, and ended together.

parent   hands signals on, watches; imports no torch
rank     dies with its parent; hands its error to it instead of printing

The error that came first is what the user sees. Under torchrun or srun the ranks exist already, and nothing
here runs.
"""

import ctypes
import json
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from phi4train import errors
from phi4train.errors import ConfigError, Phi4TrainError, RankError

GRACE_SECONDS = 10.0
"""How long the other ranks have to end by themselves once one has ended badly."""

_PR_SET_PDEATHSIG = 1
_HANDED_ON = (signal.SIGTERM, signal.SIGUSR1)


@dataclass(frozen=True)
class _Failure:
    """How a rank ended, if not well.

    Args:
        seconds: when, on the machine's clock.
        kind: name of the error that is the user's to mend; None: a defect.
        problems: messages of that error, or the traceback of the defect.
    """

    rank: int
    seconds: float
    kind: str | None
    problems: list[str]


def is_rank() -> bool:
    """Whether a launcher (torchrun, srun, or `run_ranks`) has started this process as a rank."""
    return "RANK" in os.environ


def run_ranks(target: Callable[..., None], arguments: Sequence[Any], size: int) -> None:
    """Calls `target(*arguments)` in `size` processes of their own, and returns when all have returned.

    Args:
        target: a function of a module; it and its arguments are pickled.

    Raises:
        Phi4TrainError: the error of the rank that failed first.
        RankError: a rank was killed, or ended without a word.
        SystemExit: a rank failed by a defect; its traceback is printed.
    """
    with tempfile.TemporaryDirectory(prefix="phi4train-ranks-") as folder:
        context = multiprocessing.get_context("spawn")
        port, parent = _free_port(), os.getpid()
        processes = [
            context.Process(
                target=_run_rank,
                args=(target, tuple(arguments), rank, size, port, parent, folder),
                name=f"rank {rank}",
            )
            for rank in range(size)
        ]
        with _threads_shared(size), _signals_handed_on(processes):
            try:
                for process in processes:
                    process.start()
                first = _watch(processes)
            finally:
                for process in processes:
                    if process.is_alive():
                        process.kill()
        if first is not None:
            _raise_what_happened(first, Path(folder))


def _run_rank(
    target: Callable[..., None],
    arguments: tuple[Any, ...],
    rank: int,
    size: int,
    port: int,
    parent: int,
    folder: str,
) -> None:
    """What a rank's process does; ends it without the destructors of a process group whose peers are gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that
        os._exit(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(size),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    code = 0
    try:
        target(*arguments)
    except BaseException as error:
        code = getattr(error, "exit_code", 1)
        _write_failure(Path(folder), rank, error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _write_failure(folder: Path, rank: int, error: BaseException) -> None:
    if isinstance(error, ConfigError):
        failure = _Failure(rank, time.time(), "ConfigError", error.problems)
    elif isinstance(error, Phi4TrainError):
        failure = _Failure(rank, time.time(), type(error).__name__, [str(error)])
    else:
        failure = _Failure(rank, time.time(), None, [traceback.format_exc()])
    path = folder / f"{rank}.tmp"
    path.write_text(json.dumps(asdict(failure)))
    path.rename(folder / str(rank))


def _watch(processes: Sequence[BaseProcess]) -> BaseProcess | None:
    """Waits for all; returns the first that ended badly, after which the others are ended."""
    running = {process.sentinel: process for process in processes}
    first: BaseProcess | None = None
    deadline = 0.0
    while running:
        timeout = None if first is None else max(0.0, deadline - time.monotonic())
        for sentinel in wait(list(running), timeout):
            process = running.pop(sentinel)  # type: ignore[arg-type]
            process.join()
            if process.exitcode != 0 and first is None:
                first, deadline = process, time.monotonic() + GRACE_SECONDS
                for other in running.values():
                    other.terminate()
        if first is not None and time.monotonic() >= deadline:
            for other in running.values():
                other.kill()
            deadline = time.monotonic() + GRACE_SECONDS
    return first


def _raise_what_happened(first: BaseProcess, folder: Path) -> None:
    """Raises the user's error that came first, else tells of the signal or the traceback that came first."""
    written = [path for path in folder.iterdir() if path.suffix != ".tmp"]
    failures = [_Failure(**json.loads(path.read_text())) for path in written]
    failures.sort(key=lambda failure: (failure.kind is None, failure.seconds))
    if first.exitcode is not None and first.exitcode < 0:
        name = signal.Signals(-first.exitcode).name
        memory = " (memory may have run out)" if name == "SIGKILL" else ""
        raise RankError(
            f"every rank must live to the end · found {first.name} killed by {name}{memory}; the others were "
            "stopped · start the same command again to go on from the last checkpoint"
        )
    if failures and failures[0].kind is not None:
        kind = getattr(errors, failures[0].kind, Phi4TrainError)
        raise kind(failures[0].problems if kind is ConfigError else failures[0].problems[0])
    if failures:
        print(f"rank {failures[0].rank} failed first:\n{failures[0].problems[0]}", file=sys.stderr)
        raise SystemExit(1)
    raise RankError(
        f"every rank must tell how it ended · found {first.name} ended with {first.exitcode} and no word · "
        "look at what it printed, and start the same command again"
    )


@contextmanager
def _signals_handed_on(processes: Sequence[BaseProcess]) -> Iterator[None]:
    """A signal to the parent reaches every rank; Ctrl-C does so by itself, from the terminal."""

    def hand_on(signum: int, frame: FrameType | None) -> None:
        for process in processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signum)

    previous = {signum: signal.signal(signum, hand_on) for signum in _HANDED_ON}
    previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


@contextmanager
def _threads_shared(size: int) -> Iterator[None]:
    """Ranks that nobody told how many threads they have share the cores."""
    key = "OMP_NUM_THREADS"
    is_told = key in os.environ
    os.environ.setdefault(key, str(max(1, len(os.sched_getaffinity(0)) // size)))
    try:
        yield
    finally:
        if not is_told:
            del os.environ[key]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
