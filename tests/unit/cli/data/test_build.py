"""`phi4train data build demo`: where it builds, and whether it had to."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from phi4train.cli.data.build import run
from phi4train.data.commands import BUILD_DEMO, DEFAULT_DATA_ROOT, build_command


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, bool]]:
    """Folder and force of each build; only a forced one has something to do."""
    calls: list[tuple[Path, bool]] = []

    def build_demo(data_root: Path, force: bool) -> bool:
        calls.append((data_root, force))
        return force

    monkeypatch.setitem(sys.modules, "phi4train.demo.build", SimpleNamespace(build_demo=build_demo))
    return calls


def test_what_there_is_stays_unless_it_is_forced(
    built: list[tuple[Path, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    run(ArgumentParser(), ["demo"])
    run(ArgumentParser(), ["demo", "--force", "--data-root", "/d"])
    assert built == [(Path(DEFAULT_DATA_ROOT), False), (Path("/d"), True)]
    assert capsys.readouterr().out == f"{DEFAULT_DATA_ROOT}/demo: up to date\n/d/demo: built\n"


def test_the_command_that_messages_name_is_understood(built: list[tuple[Path, bool]]) -> None:
    words = build_command(BUILD_DEMO, Path("/d")).split()
    assert words[:3] == ["phi4train", "data", "build"]
    run(ArgumentParser(), words[3:])
    assert built == [(Path("/d"), False)]


def test_another_data_set_is_refused(built: list[tuple[Path, bool]]) -> None:
    with pytest.raises(SystemExit):
        run(ArgumentParser(), ["laion"])
    assert built == []
