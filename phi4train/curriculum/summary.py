"""What a curriculum has measured, a line a stage."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from phi4train.checkpoint.artifact import open_artifact
from phi4train.evaluation.report import ACCURACY, BASELINE_PERPLEXITY, PERPLEXITY
from phi4train.training import metric_keys as keys
from phi4train.training.run_folder import RunFolder


def summary_table(artifacts: Sequence[Path]) -> Table:
    """Minutes of training steps, held-out perplexity and exact match of each stage's artifact."""
    table = Table(title="Curriculum", title_justify="left")
    for name in ("stage", "artifact"):
        table.add_column(name)
    for name in ("steps", "minutes", "perplexity", "bigram's", "exact match"):
        table.add_column(name, justify="right")
    for path in artifacts:
        lineage = open_artifact(path, needed_by="the summary").lineage
        steps = [json.loads(line) for line in RunFolder(path.parent).metrics.read_text().splitlines()]
        minutes = sum(step[keys.STEP_SECONDS] for step in steps) / 60
        results = lineage.results
        table.add_row(
            lineage.stage,
            lineage.identity[:12],
            f"{len(steps):,}",
            f"{minutes:.1f}",
            _shown(results.get(PERPLEXITY), "{:.2f}"),
            _shown(results.get(BASELINE_PERPLEXITY.format(scorer="bigram")), "{:.2f}"),
            _shown(results.get(ACCURACY), "{:.1%}"),
        )
    return table


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
