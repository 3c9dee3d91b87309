"""Commands that messages name can be pasted as they are."""

from pathlib import Path

import pytest

from phi4train.data.commands import build_command, index_command
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import open_mixture
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import write_manifest, write_texts


def test_a_data_root_of_ones_own_is_carried_and_quoted() -> None:
    assert index_command("demo_lm_sft", Path("data")) == "phi4train data index demo_lm_sft"
    assert index_command("x", Path("/a b")) == "phi4train data index x 'run.data_root=/a b'"
    assert build_command("phi4train data build demo", Path("data")) == "phi4train data build demo"
    assert build_command("phi4train data build demo", Path("d")) == "phi4train data build demo --data-root d"
    assert build_command("make shards", Path("elsewhere")) == "make shards"


def test_a_missing_index_is_told_with_the_manifest_as_it_was_named(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    write_texts(tmp_path, 9)
    manifest = write_manifest(tmp_path, "text")
    with pytest.raises(ManifestError) as caught:
        open_mixture(manifest, tmp_path, tmp_path, tokenizer)
    remedy = f"run `phi4train data index {tmp_path}/mixture.yaml run.data_root={tmp_path}`"
    assert str(caught.value).endswith(remedy)
