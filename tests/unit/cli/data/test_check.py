"""`phi4train data check` prints what it found, and fails where a run would."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from phi4train.cli.data import index
from phi4train.cli.data.check import run
from phi4train.errors import ManifestError
from tests.unit.data.small_shards import write_manifest, write_questions, write_texts


def test_what_is_fit_is_told(own_words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(ArgumentParser(), own_words)
    assert "manifest mixture: fit\n  text (CC0): 9 of 9 samples usable in 1 shards" in capsys.readouterr().out


def test_a_damaged_shard_is_printed_and_then_refused(
    own_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(tmp_path, 40)
    index.run(ArgumentParser(), own_words)
    path = tmp_path / "text-000000.tar"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1  # where opening a mixture does not look
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=f"found unfit: {own_words[0]}"):
        run(ArgumentParser(), own_words)
    assert "manifest mixture: NOT FIT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "rows"),
    [
        ([], [0, 1, 2, 3, 4, 5, 6, 8]),
        (["--decode"], list(range(9))),
        (["--decode-samples", "2"], [0, 8]),
        (["--decode-samples", "0"], []),
    ],
)
def test_a_few_samples_are_decoded_or_as_many_as_asked(
    flags: list[str], rows: list[int], own_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    from phi4train.data.batches.decoding import SampleDecoder

    original = SampleDecoder.decode

    def counted(self: SampleDecoder, *place: int) -> object:
        decoded.append(place[2])
        return original(self, *place)

    monkeypatch.setattr(SampleDecoder, "decode", counted)
    run(ArgumentParser(), [*own_words, *flags])
    assert sorted(set(decoded)) == rows


def test_a_mixture_that_cannot_be_opened_hides_no_other(
    own_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ManifestError, match="found unfit: demo_lm_sft · mend"):
        run(ArgumentParser(), ["demo_lm_sft", *own_words])
    printed = capsys.readouterr().out
    assert "manifest demo_lm_sft: NOT FIT\n  problem: manifest demo_lm_sft" in printed
    assert "manifest mixture: fit" in printed


def test_what_a_run_would_refuse_is_refused(
    own_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_questions(tmp_path, 4)
    write_manifest(tmp_path, "vision")
    index.run(ArgumentParser(), own_words)
    for limits in ([], ["data.context_tokens=8"]):
        with pytest.raises(ManifestError, match="found unfit"):
            run(ArgumentParser(), [*own_words, *limits])
        printed = capsys.readouterr().out
        assert (
            "the model must have an encoder for each kind of media in its data · found image media" in printed
        )
        assert ("source vision must have usable samples" in printed) == bool(limits)


def test_bad_samples_of_held_out_data_stop_nothing(
    own_words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tight = [*own_words, "data.context_tokens=8", "tokenizer=tokenizer.json"]
    with_few = ["data.max_bad_fraction=0", "data.max_bad_in_a_row=1"]
    run(ArgumentParser(), [*tight, *with_few, f"evaluation.manifest={own_words[0]}"])
    assert "manifest mixture: fit" in capsys.readouterr().out
