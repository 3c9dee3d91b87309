"""Commands that messages name can be pasted as they are."""

import shlex
from pathlib import Path

import pytest

from phi4train.data.commands import BY_NAME_ALONE, Asked, build_command, index_command
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import open_mixture
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import write_manifest, write_texts


def test_a_data_root_of_ones_own_is_carried_and_quoted() -> None:
    assert index_command("demo_lm_sft", Path("data"), BY_NAME_ALONE) == "phi4train data index demo_lm_sft"
    asked_for = index_command("x", Path("/a (b)"), BY_NAME_ALONE)
    assert asked_for == """phi4train data index x 'run.data_root="/a (b)"'"""
    assert build_command("phi4train data build demo", Path("data")) == "phi4train data build demo"
    assert build_command("phi4train data build demo", Path("d")) == "phi4train data build demo --data-root d"
    assert build_command("make shards", Path("elsewhere")) == "make shards"


def test_what_decides_which_index_fits_is_carried() -> None:
    asked = Asked({"stage": "s", "tokenizer": "my, own.json"}, ["mine.sensor", "mine.loss"], "my conf")
    words = shlex.split(index_command("x", Path("d"), asked))
    assert words == [
        *("phi4train", "data", "index", "x", "imports=[mine.sensor,mine.loss]", "stage=s"),
        *('tokenizer="my, own.json"', "run.data_root=d", "--config-dir", "my conf"),
    ]


def test_a_missing_index_is_told_with_the_manifest_as_it_was_named(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    write_texts(tmp_path, 9)
    manifest = write_manifest(tmp_path, "text")
    with pytest.raises(ManifestError) as caught:
        open_mixture(manifest, tmp_path, tmp_path, tokenizer)
    remedy = f"run `phi4train data index {tmp_path}/mixture.yaml run.data_root={tmp_path}`"
    assert str(caught.value).endswith(remedy)
