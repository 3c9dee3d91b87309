"""Help lists what there is, a user's own too, in columns."""

from pathlib import Path

import pytest

from phi4train.cli.help import help_text
from phi4train.config.catalog import Catalog
from phi4train.errors import ConfigError


def test_every_stage_scale_verb_and_option_is_listed() -> None:
    text, catalog = help_text({"verb": "Does it."}), Catalog()
    for stage, description in catalog.stage_descriptions().items():
        assert f"  {stage} " in text and description in text
    assert f"  {', '.join(catalog.scales)}\n" in text
    for group in ("hardware", "logger"):
        assert f"  {group}={'|'.join(sorted(catalog.options[group]))}\n" in text
    assert "verbs (none: train):\n  verb  Does it.\n" in text


def test_columns_are_as_wide_as_their_longest_name() -> None:
    lines = help_text({"a": "One.", "longest": "Two."}).splitlines()
    assert {line.index(text) for line in lines for text in ("One.", "Two.") if line.endswith(text)} == {11}


def test_a_users_own_stages_and_scales_are_listed(tmp_path: Path) -> None:
    for group, name in (("stage", "mine"), ("scale", "tiny")):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text("description: Of my own.\n")
    text = help_text({"verb": "Does it."}, tmp_path)
    assert "Of my own.\n" in text and ", tiny, " in text
    with pytest.raises(ConfigError, match="--config-dir must be a folder"):
        help_text({"verb": "Does it."}, tmp_path / "nowhere")
