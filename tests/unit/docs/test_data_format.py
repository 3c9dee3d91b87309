"""docs/data_format.md is true: its examples are read by what reads data, and it names every field."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

from phi4train.cli.data.verbs import DATA_VERBS
from phi4train.data.inspection.check import check_mixture
from phi4train.data.media.registry import media_kinds
from phi4train.data.samples import json_objects, records
from phi4train.data.samples.records import ROLES, parse_sample
from phi4train.data.samples.tokenizer import train_bpe
from phi4train.data.shards import indexing, manifest, members, tables
from phi4train.data.shards.manifest import load_manifest
from phi4train.data.shards.mixture import index_manifest, open_mixture
from tests.unit.data.small_shards import limits_of
from tests.unit.test_architecture import PACKAGE

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "data_format.md").read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("record", examples("json"))
def test_every_record_is_read(record: str) -> None:
    sample = parse_sample("000017", record.encode())
    assert sample.mode and sample.shape in tables.RECORD_SHAPES


def test_all_shapes_modes_and_roles_have_an_example() -> None:
    samples = [parse_sample("k", record.encode()) for record in examples("json")]
    assert {sample.shape for sample in samples} == set(tables.RECORD_SHAPES)
    assert {sample.mode for sample in samples} >= {"text", "vision", "vision_speech"}
    assert {turn.role for sample in samples for turn in sample.turns} == set(ROLES)
    keys = {key for record in examples("json") for key in json.loads(record)}
    assert keys == records._RECORD_KEYS


@pytest.mark.parametrize("text", examples("yaml"))
def test_every_manifest_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(text, encoding="utf-8")
    assert load_manifest(str(tmp_path / "m.yaml"), []).sources


def test_every_field_that_is_read_is_on_the_page() -> None:
    fields = {*records._RECORD_KEYS, *manifest._MANIFEST_KEYS, *manifest._SOURCE_KEYS, *ROLES}
    fields |= {"role", "content", "type", "reading", "video", "frames", "fps"}
    fields |= {name for kind in media_kinds() for name in (kind.name, *kind.extensions)}
    words = set(re.findall(r"\w+", PAGE))
    assert fields - words == set()
    assert {kind.name for kind in media_kinds()} == {"image", "audio"}, "the table of parts has them all"


def test_every_cause_of_a_bad_sample_is_on_the_page() -> None:
    causes = set()
    for path in sorted((PACKAGE / "data").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "SampleError":
                causes |= {part.value for part in node.args[:1] if isinstance(part, ast.Constant)}
    named = {word for row in re.findall(r"^\| (`.*?) \|", PAGE, re.M) for word in re.findall(r"`(\w+)`", row)}
    assert len(causes) > 10 and causes - named == set()


def test_bounds_are_those_of_the_code() -> None:
    for bound in (
        f"at\nmost {members.MAX_RECORD_BYTES // 2**20} MiB, nested at most {json_objects.MAX_NESTING} deep",
        f"beyond {members.MAX_MEDIA_BYTES // 2**20} MiB",
        f"longer than {members.MAX_NAME_BYTES:,} bytes",
        f"at most {records.MAX_NAME} characters, at most {tables.MAX_TASKS:,} tasks",
        f"at most {records.MAX_FPS})",
        f"{indexing.MAX_MEDIA_PER_SAMPLE:,} media",
    ):
        assert bound.lower() in PAGE.lower(), bound


def test_every_command_names_a_verb() -> None:
    lines = [shlex.split(line) for block in examples("bash") for line in block.splitlines()]
    assert {words[2] for words in lines if words[1] == "data"} == DATA_VERBS.keys() - {"build"}
    assert all(words[0] == "phi4train" for words in lines)


def test_the_walk_from_nothing_to_a_checked_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = examples("python")
    exec(compile(code, "docs/data_format.md", "exec"), {})
    (tmp_path / "colours.yaml").write_text(examples("yaml")[0])
    tokenizer = train_bpe(["which colour red blue"], 384, tmp_path / "t.json")
    colours, root = load_manifest("colours.yaml", []), tmp_path / "data"
    index_manifest(colours, root, root / ".cache", tokenizer)
    report = check_mixture(open_mixture(colours, root, root, tokenizer), tokenizer, limits_of(64), root)
    assert report.is_fit and (report.sources[0].num_usable, report.sources[0].unusable) == (40, {})
