"""Ranks: what they do together, and how the first error of one ends all and is what the user sees."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from phi4train.errors import ConfigError, RankError, StageInterrupted
from phi4train.ranks import join
from phi4train.training.launch import is_rank, run_ranks

CPU = torch.device("cpu")


def rank() -> int:
    return int(os.environ["RANK"])


def talk(folder: Path) -> None:
    """Every collective of Ranks, its result written by each rank."""
    ranks = join(CPU, timeout_seconds=60)
    assert (ranks.rank, ranks.size, ranks.is_first) == (rank(), 2, rank() == 0)
    ranks.barrier()

    def fail_on_second() -> None:
        if not ranks.is_first:
            raise ConfigError("only here")

    told = [
        ranks.sum([1, 10 * ranks.rank]),
        ranks.any(ranks.rank == 1),
        ranks.any(False),
        ranks.gather({"rank": ranks.rank}),
        ranks.each(lambda: ranks.rank),
        ranks.from_first(lambda: f"from {ranks.rank}"),
    ]
    for call in (lambda: ranks.each(fail_on_second), lambda: ranks.from_first(lambda: 1 // 0)):
        try:
            call()
        except Exception as error:
            told.append(type(error).__name__)
    (folder / str(ranks.rank)).write_text(repr(told))


def test_ranks_tell_each_other_everything_and_fail_together(tmp_path: Path) -> None:
    run_ranks(talk, (tmp_path,), 2)
    one, two = ((tmp_path / str(number)).read_text() for number in (0, 1))
    assert (
        one
        == two
        == repr(
            [
                *([2, 10], True, False, [{"rank": 0}, {"rank": 1}], [0, 1], "from 0"),
                *("ConfigError", "ZeroDivisionError"),
            ]
        )
    )
    assert not is_rank()


def fail_alone(kind: str) -> None:
    """Rank 1 ends badly while rank 0 waits for it, as in a collective."""
    if rank() == 0:
        time.sleep(60)
    if kind == "user":
        raise ConfigError("seed must be a number · found x · correct it")
    if kind == "defect":
        raise AssertionError("a defect of ours")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(7)


def test_a_users_error_of_one_rank_ends_all_at_once_and_is_raised_as_it_was() -> None:
    with pytest.raises(ConfigError, match="found x"):
        run_ranks(fail_alone, ("user",), 2)


def test_a_defect_of_one_rank_is_printed_with_its_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_ranks(fail_alone, ("defect",), 2)
    assert "rank 1 failed first" in (printed := capfd.readouterr().err) and "a defect of ours" in printed


@pytest.mark.parametrize(
    ("kind", "words"), [("killed", "rank 1 killed by SIGKILL"), ("mute", "ended with 7")]
)
def test_a_rank_that_is_killed_or_ends_without_a_word_is_named(kind: str, words: str) -> None:
    with pytest.raises(RankError, match=words):
        run_ranks(fail_alone, (kind,), 2)


def stop_when_asked(folder: Path) -> None:
    got: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, frame: got.append(signum))
    (folder / str(rank())).touch()
    while not got:
        time.sleep(0.02)
    raise StageInterrupted("the stage must run on · found SIGTERM · start it again")


def signal_the_parent(folder: Path) -> None:
    """Rank 0 sends its parent what a scheduler would, once all listen."""
    if rank() == 0:
        threading.Thread(target=_terminate_when_all_listen, args=(folder,)).start()
    stop_when_asked(folder)


def _terminate_when_all_listen(folder: Path) -> None:
    while not ((folder / "0").exists() and (folder / "1").exists()):
        time.sleep(0.02)
    os.kill(os.getppid(), signal.SIGTERM)


def test_a_signal_to_the_parent_reaches_every_rank(tmp_path: Path) -> None:
    with pytest.raises(StageInterrupted, match="SIGTERM"):
        run_ranks(signal_the_parent, (tmp_path,), 2)
