"""The chrF example: a metric that is only imported by a recipe judges its tasks, and is told everywhere."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu

from phi4train.cli.main import main
from phi4train.data.samples.tokenizer import train_bpe
from tests.stage_workspace import QUICK

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "metric"
OF_EXAMPLE = ["--config-dir", str(EXAMPLE)]


def run_python(*arguments: str) -> str:
    """What a process of its own prints: registrations must come from it, and end with it."""
    result = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def overrides(tmp_path: Path) -> list[str]:
    """The example's data and a tokenizer."""
    tokenizer = tmp_path / "data" / "demo" / "tokenizer.json"
    tokenizer.parent.mkdir(parents=True)
    train_bpe(iter(["Write out the date 5.3.1987. the fifth of March 1987"] * 40), 320, tokenizer)
    run_python(str(EXAMPLE / "rewrite_data.py"), "--data-root", str(tmp_path / "data"), "--samples", "40")
    return [*QUICK, f"run.root={tmp_path}/runs", f"run.data_root={tmp_path}/data"]


def test_the_example_runs_from_the_command_line(overrides: list[str], tmp_path: Path) -> None:
    own = ["stage=rewrite_sft", *overrides, *OF_EXAMPLE]
    parent = [
        *("stage=lm_sft", *overrides, *OF_EXAMPLE, "parents=[]", "init.language_model=fresh"),
        *("imports=[chrf_metric]", "data.manifest=demo_rewrite_sft"),
        "evaluation.manifest=demo_rewrite_sft_eval",
    ]
    commands = [
        ["data", "index", "demo_rewrite_sft", "demo_rewrite_sft_eval", *own],
        *(
            parent,
            [*own, "evaluation.every_n_steps=1"],
            ["evaluate", "--show", "1", *own],
            ["evaluate", "--regression", *own],
        ),
    ]
    artifacts = [str(tmp_path / "runs" / stage / "demo" / "artifact") for stage in ("lm_sft", "rewrite_sft")]
    code = (
        "from pathlib import Path\n"
        "from rich.console import Console\n"
        "from phi4train.cli.main import main\n"
        f"for words in {commands}: print('exit', main(words), flush=True)\n"
        "from phi4train.curriculum.summary import summary_table\n"
        f"Console(width=120).print(summary_table([Path(path) for path in {artifacts}], 120))"
    )
    printed = run_python("-c", code)
    assert printed.count("exit 0\n") == len(commands), printed
    assert re.search(r"demo_rewrite_sft_eval: held-out perplexity [0-9.]+, chrF [0-9.]+\n", printed)
    for told in ["Held-out chrF", "rewrite_dates", "expected: the "]:
        assert told in printed
    assert "exact match" not in printed

    run = tmp_path / "runs" / "rewrite_sft" / "demo"
    saved = json.loads((run / "evaluation.json").read_text())
    [row] = saved["chrf"]
    assert (row["task"], row["language"], row["num_samples"]) == ("rewrite_dates", "en", 2)
    assert row["signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|")
    keys = ["eval/chrf", "eval/chrf/rewrite_dates", "eval/chrf/rewrite_dates/en"]
    assert {key: saved["metrics"][key] for key in keys} == dict.fromkeys(keys, row["score"])
    assert saved["accuracy"] == []

    compared = json.loads((run / "regression.json").read_text())["ancestors"][0]
    changes = {one["metric"]: one for one in compared["changes"]}
    assert {*keys, "eval/perplexity"} <= changes.keys()
    [compared_row] = [line for line in printed.splitlines() if "│ chrf " in line]
    values = [f"{changes['eval/chrf'][when]:.2f}" for when in ("before", "after")]
    assert [cell.strip() for cell in compared_row.split("│")][3:5] == values
    [head] = [line for line in printed.splitlines() if "minutes" in line and "artifact" in line]
    assert [cell.strip() for cell in head.split("┃")][-2] == "chrF"


def test_a_stage_that_imports_no_metric_judges_by_exact_match(overrides: list[str], tmp_path: Path) -> None:
    words = [
        *("stage=lm_sft", *overrides, *OF_EXAMPLE, "parents=[]", "init.language_model=fresh"),
        *("data.manifest=demo_rewrite_sft", "evaluation.manifest=demo_rewrite_sft_eval"),
    ]
    assert main(["data", "index", "demo_rewrite_sft", "demo_rewrite_sft_eval", *words]) == 0
    assert main(words) == 0
    saved = json.loads((tmp_path / "runs" / "lm_sft" / "demo" / "evaluation.json").read_text())
    assert "chrf" not in saved
    assert [row["task"] for row in saved["accuracy"]] == ["rewrite_dates", "all"]


def test_the_score_is_sacrebleus_of_all_answers_and_references() -> None:
    answers = [("the fifth of March", "5 March"), ("the tenth of May",)]
    texts = ["the fifth of Mars", "the tent of May"]
    references = [["the fifth of March", "the tenth of May"], ["5 March", None]]
    expected = sacrebleu.corpus_chrf(texts, references).score  # type: ignore[arg-type]
    code = (
        f"import sys; sys.path.append({str(EXAMPLE)!r})\n"
        "from chrf_metric import chrf_scores\n"
        "from phi4train.data.samples.records import Sample\n"
        "from phi4train.evaluation.metrics.metric import Reply\n"
        "from phi4train.evaluation.metrics.judging import is_right, sort_replies\n"
        f"samples = [Sample('k', task='rewrite_dates', answers=answers) for answers in {answers}]\n"
        f"replies = [Reply(*pair) for pair in zip(samples, {texts})]\n"
        "[found] = chrf_scores(replies)\n"
        "print(found.score, list(sort_replies(replies)), is_right(Reply(samples[0], '5 march.')))"
    )
    score, *rest = run_python("-c", code).split(maxsplit=1)
    assert float(score) == pytest.approx(expected)
    assert 0 < expected < 100
    assert rest == ["['chrf'] True\n"]


def test_a_metric_that_takes_the_words_of_another_is_told_as_a_mistake_of_imports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (EXAMPLE / "chrf_metric.py").read_text().replace('("rewrite",)', '("ast",)')
    (tmp_path / "stealing_metric.py").write_text(source)
    words = ["stage=lm_sft", "scale=demo", "imports=[stealing_metric]", "--config-dir", str(tmp_path)]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "the module 'stealing_metric' of imports must be importable · found ValueError: a metric" in told
    assert "found of 'chrf': the taken word 'ast' · rename them" in told
