"""docs/extending.md: snippets are parts of the examples, files compose, commands are understood."""

import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

from phi4train.cli.verbs import VERBS
from phi4train.config.curricula import load_curriculum
from phi4train.config.load import load_config
from phi4train.config.resources import manifest_folders
from phi4train.config.trials import compose_trials
from phi4train.data.shards.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', TEXT, re.MULTILINE | re.DOTALL)
SNIPPETS = [(title, text) for _, title, text in BLOCKS if title.startswith("examples/")]
OWN = {title: text for _, title, text in BLOCKS if title.startswith("own/")}
COMMANDS = [line for kind, _, text in BLOCKS if kind == "bash" for line in text.splitlines()]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the page writes."""
    root = tmp_path_factory.mktemp("page")
    for place, text in OWN.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "own"


@pytest.mark.parametrize(("place", "text"), SNIPPETS, ids=[place for place, _ in SNIPPETS])
def test_a_snippet_is_a_part_of_the_example(place: str, text: str) -> None:
    assert text.strip("\n") in (ROOT / place).read_text(encoding="utf-8")


def test_every_kind_of_extension_has_a_section_with_a_snippet_and_a_command() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    names = [section.partition("\n")[0] for section in sections]
    assert names == ["A stage", "A data set", "A size", "A modality", "A loss", "A metric"]
    assert all('title="' in section and "```bash\nphi4train" in section for section in sections)
    assert len(SNIPPETS) > 8 and len(OWN) > 4 and len(COMMANDS) > 12


def test_every_block_with_a_file_is_of_an_example_or_of_ones_own() -> None:
    titles = {title for _, title, _ in BLOCKS if title}
    assert titles == {place for place, _ in SNIPPETS} | OWN.keys()


def test_every_command_is_understood(own: Path) -> None:
    """In a process of its own, since modules of the examples register what they are about."""
    code = (
        "import sys; from pathlib import Path; from tests.unit.docs import test_extending as page; "
        "[page.understand(line, Path(sys.argv[1])) for line in page.COMMANDS]"
    )
    done = subprocess.run([sys.executable, "-c", code, str(own)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def understand(line: str, own: Path) -> None:
    """Raises what is wrong with a command, as it would be told before anything is done."""
    program, *words = shlex.split(line)
    assert program == "phi4train"
    verb = words.pop(0) if words[0] in VERBS else "train"
    parser = ArgumentParser(add_help=False)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--config-dir", type=Path)
    for flag in ("--dry-run", "--help", "-m"):
        parser.add_argument(flag, action="store_true")
    for option in ("--name", "--show", "--cfg"):
        parser.add_argument(option)
    options = parser.parse_intermixed_args(words)
    folder = own if options.config_dir == Path("own") else ROOT / options.config_dir
    if verb == "curriculum":
        for stage in load_curriculum(options.name, folder).stages:
            load_config([f"stage={stage}", *options.words], folder)
    elif verb == "data":
        kind, *names = options.words
        assert kind in ("index", "check")
        assert [load_manifest(name, manifest_folders(folder)).name for name in names] == names
    elif options.m:
        assert all(trial.config is not None for trial in compose_trials(options.words, folder)), line
    elif options.words:
        load_config(options.words, folder)


def test_the_derived_recipe_starts_its_adapter_from_its_parent(own: Path) -> None:
    config = load_config(["stage=vision_longer", "scale=demo"], own)
    assert (config.init, config.parents, config.budget.max_steps) == ({}, ["vision_sft"], 100)
