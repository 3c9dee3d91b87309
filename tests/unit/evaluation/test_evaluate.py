"""Evaluation on real shards with a tiny model: it finds right answers and leaves no trace."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from phi4train.batch import Batch
from phi4train.data.batches.loader import SkippedSample
from phi4train.data.media.images import ImageGeometry
from phi4train.data.media.limits import Limits
from phi4train.data.samples.records import Sample
from phi4train.data.samples.tokenizer import train_bpe
from phi4train.data.shards.manifest import load_manifest
from phi4train.data.shards.mixture import index_manifest, open_mixture
from phi4train.data.shards.tables import RECORD_SHAPES
from phi4train.data.shards.writer import ShardWriter
from phi4train.evaluation import answers
from phi4train.evaluation import evaluate as evaluating
from phi4train.evaluation.answers import Answer
from phi4train.evaluation.evaluate import EvaluationData, collect_answers, evaluate, fit_baselines
from phi4train.evaluation.metrics.bleu import BLEU
from phi4train.evaluation.metrics.error_rate import ERROR_RATE
from phi4train.evaluation.metrics.exact_match import EXACT_MATCH
from phi4train.evaluation.metrics.perplexity import PERPLEXITY
from phi4train.evaluation.model_state import evaluation_mode
from phi4train.evaluation.report import save_report
from phi4train.evaluation.show_answers import show_answers
from phi4train.evaluation.table import report_tables
from phi4train.model.components import build_model, load_state, state_of
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import LanguageModelShape, LoraShape, ModelShape, RopeShape, VisionShape

NUM_QUESTIONS = 6
SHAPE = ModelShape(
    LanguageModelShape(320, 32, 48, 1, 4, 2, rope=RopeShape(short_factor=[1.0] * 3, long_factor=[1.0] * 3)),
    VisionShape(16, 24, 2, 2, crop_size=24, patch_size=6),
    lora={"vision": LoraShape(2, 4, dropout=0.5)},
)


def png(size: tuple[int, int], shade: int) -> bytes:
    buffer = io.BytesIO()
    image = Image.new("L", size, 255)
    image.paste(shade, (0, 0, size[0] // 2, size[1]))
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path: Path) -> EvaluationData:
    """A mixture of texts, questions about images of one and two crops, and a dialogue without an answer."""
    with ShardWriter(tmp_path / "mixed") as writer:
        for n in range(3):
            writer.write(f"text{n}", {"text": f"A running text, number {n}.", "task": "text"})
        for n in range(NUM_QUESTIONS):
            content = [{"type": "image", "image": "0.png"}, {"type": "text", "text": f"How dark is {n}?"}]
            turns = [{"role": "user", "content": content}, {"role": "assistant", "content": f"{n}"}]
            record = {"messages": turns, "task": f"vqa_{n % 2}", "answers": [f"{n}"]}
            writer.write(f"vqa{n}", record, {"0.png": png((24 * (1 + n % 2), 24), shade=20 * n)})
        turns = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Hello!"}]
        writer.write("talk", {"messages": turns, "task": "talk"})
    (tmp_path / "mixed.yaml").write_text(
        "name: mixed\ndescription: all kinds\nsources:\n"
        "  - {name: mixed, shards: ['mixed-*.tar'], weight: 1, licence: CC0-1.0}\n"
    )
    tokenizer = train_bpe(["How dark is the running text?"], 320, tmp_path / "tokenizer.json")
    manifest = load_manifest(str(tmp_path / "mixed.yaml"), [])
    index_manifest(manifest, tmp_path, tmp_path, tokenizer)
    limits = Limits(128, 10_000, ImageGeometry(24, 6, 4), 60.0, video_fps=None, max_frames=8, num_branches=1)
    return EvaluationData(
        open_mixture(manifest, tmp_path, tmp_path, tokenizer), tokenizer, limits, tmp_path, 256
    )


@pytest.fixture
def model() -> Phi4Model:
    built = build_model(
        SHAPE, ("language_model", "vision_encoder", "vision_projector", "lora.vision"), seed=0
    )
    built.train()
    built.encoders.eval()
    return built


@pytest.fixture
def knowing(data: EvaluationData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces generation by the truth, except for one wrong answer of task vqa_1."""

    def truth(model: object, batch: Batch, *_: object, **__: object) -> list[list[int]]:
        names = [key.rpartition("/")[2] for key in batch.keys]
        return [data.tokenizer.encode({"vqa5": "no idea"}.get(name, f" {name[-1]}.")) for name in names]

    monkeypatch.setattr(answers, "generate", truth)


def test_evaluation_leaves_modes_random_numbers_and_gradients_untouched(
    model: Phi4Model, data: EvaluationData
) -> None:
    modes = {name: module.training for name, module in model.named_modules()}
    rng = torch.get_rng_state()
    evaluate(model, data, max_new_tokens=2)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_failing_evaluation_puts_everything_back_too(model: Phi4Model) -> None:
    rng = torch.get_rng_state()
    with pytest.raises(RuntimeError), evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        torch.rand(3)
        raise RuntimeError
    assert model.training
    assert not model.encoders.training
    assert torch.equal(torch.get_rng_state(), rng)


def test_evaluation_is_deterministic_although_the_model_has_dropout(
    model: Phi4Model, data: EvaluationData
) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    first, second = (evaluate(model, data, max_new_tokens=3) for _ in range(2))
    assert first == second


@pytest.mark.usefixtures("knowing")
def test_right_answers_are_counted_by_task_and_only_where_answers_are_accepted(
    model: Phi4Model, data: EvaluationData
) -> None:
    report = evaluate(model, data, max_new_tokens=4)
    found = {
        accuracy.task: (accuracy.num_correct, accuracy.num_samples)
        for accuracy in report.results_of(EXACT_MATCH)
    }
    assert found == {"vqa_0": (3, 3), "vqa_1": (2, 3), "all": (5, 6)}
    assert [result.task for result in report.results_of(PERPLEXITY)] == [
        "talk",
        "text",
        "vqa_0",
        "vqa_1",
        "all",
    ]
    assert report.skipped == ()


def test_transcripts_and_translations_are_judged_by_their_own_metrics(
    model: Phi4Model, data: EvaluationData, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        Answer(Sample("a", task="asr_de", answers=("eins zwei",), language="de"), "Eins, drei.", None),
        Answer(Sample("b", task="ast_de", answers=("1 <sep> one",), language="de"), "1 <sep> one", None),
        Answer(Sample("c", task="ssum", answers=("2 digits",)), "2 digits", None),
    ]
    monkeypatch.setattr(evaluating, "answer_prompts", lambda *_: iter(said))
    report = evaluate(model, data, max_new_tokens=1)
    assert [(r.task, r.num_errors, r.num_units) for r in report.results_of(ERROR_RATE)] == [
        *(("asr_de", 1, 2), ("ast_de_transcript", 0, 1), ("all", 1, 3))
    ]
    assert [(r.task, r.language) for r in report.results_of(BLEU)] == [("ast_de", "de")]
    assert [accuracy.task for accuracy in report.results_of(EXACT_MATCH)] == ["ssum", "all"]


def test_batch_size_changes_no_result(model: Phi4Model, data: EvaluationData) -> None:
    whole = evaluate(model, data, max_new_tokens=4)
    single = evaluate(model, replace(data, max_batch_tokens=1), max_new_tokens=4)
    assert whole.results_of(EXACT_MATCH) == single.results_of(EXACT_MATCH)
    both = (report.results_of(PERPLEXITY) for report in (whole, single))
    for one, other in zip(*both, strict=True):
        assert one.loss() == pytest.approx(other.loss(), rel=1e-5)


def test_text_alone_is_measured_the_same_to_the_last_bit_beside_encoders_and_adapters(
    model: Phi4Model, data: EvaluationData, tmp_path: Path
) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    alone = build_model(SHAPE, ("language_model",), seed=1)
    load_state(alone, "language_model", state_of(model, "language_model"))
    with ShardWriter(tmp_path / "texts") as writer:
        for n in range(5):
            turns = [
                {"role": "user", "content": f"How dark is {n}?"},
                {"role": "assistant", "content": f"{n}"},
            ]
            writer.write(f"talk{n}", {"messages": turns, "task": "talk", "answers": [f"{n}"]})
            writer.write(f"text{n}", {"text": f"A running text, number {n}.", "task": "text"})
    (tmp_path / "texts.yaml").write_text(
        "name: texts\ndescription: no media\nsources:\n"
        "  - {name: texts, shards: ['texts-*.tar'], weight: 1, licence: CC0-1.0}\n"
    )
    manifest = load_manifest(str(tmp_path / "texts.yaml"), [])
    index_manifest(manifest, tmp_path, tmp_path, data.tokenizer)
    texts = replace(data, mixture=open_mixture(manifest, tmp_path, tmp_path, data.tokenizer))
    before, after = (evaluate(one, texts, max_new_tokens=3) for one in (alone, model))
    assert before.results_of(EXACT_MATCH)
    assert before == after


def test_a_mixture_of_texts_alone_is_not_prompted(
    model: Phi4Model, data: EvaluationData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    original = EvaluationData.batches

    def spy(self: EvaluationData, skipped: list[SkippedSample], as_prompts: bool = False) -> object:
        asked.append(as_prompts)
        return original(self, skipped, as_prompts)

    monkeypatch.setattr(EvaluationData, "batches", spy)
    [table] = data.mixture.sources[0].tables
    rows = table.samples.copy()
    rows["shape"] = RECORD_SHAPES.index("text")
    monkeypatch.setattr(type(table), "samples", rows)
    evaluate(model, data, max_new_tokens=1)
    assert asked == [False]


@pytest.mark.usefixtures("knowing")
def test_metrics_json_and_tables_tell_the_same_numbers(
    model: Phi4Model, data: EvaluationData, tmp_path: Path
) -> None:
    report = evaluate(model, data, 4, fit_baselines(data))
    metrics = report.metrics()
    save_report(report, tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert metrics["eval/accuracy"] == saved["accuracy"][-1]["fraction"] == pytest.approx(5 / 6)
    assert metrics["eval/perplexity"] == saved["perplexity"][-1]["model"]
    assert metrics["eval/perplexity_bigram"] <= metrics["eval/perplexity_unigram"]
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(report_tables(report))
    assert "83.3 %" in console.export_text()


@pytest.mark.usefixtures("knowing")
def test_shown_answers_have_question_picture_and_what_was_expected(
    model: Phi4Model, data: EvaluationData
) -> None:
    console = Console(record=True, width=100, file=io.StringIO())
    found = collect_answers(model, data, max_new_tokens=4)
    show_answers(found, console)
    text = console.export_text()
    assert "How dark is 5?" in text
    assert "expected: 5" in text
    assert "█" in text


def test_each_answer_carries_the_view_of_its_own_image(model: Phi4Model, data: EvaluationData) -> None:
    for answer in collect_answers(model, data, max_new_tokens=1):
        number = int(answer.sample.key.removeprefix("vqa"))
        assert answer.view is not None
        assert answer.view[0, 5, 2].item() == pytest.approx(20 * number / 127.5 - 1, abs=0.02)
