"""The text of `phi4train --help`, from the recipes and without Hydra, so that it answers at once."""

from collections.abc import Mapping
from pathlib import Path

from phi4train.config.catalog import Catalog

_USAGE = """\
Trains models of the Phi-4-Mini and Phi-4-Multimodal family, stage by stage.

usage: python -m phi4train stage=<stage> [scale=<scale>] [group=option] [key=value] [flags]
       python -m phi4train <verb> --help

examples:
  python -m phi4train stage=lm_pretrain scale=demo
  python -m phi4train stage=vision_sft scale=demo optimizer.lr=1e-3,2e-3 -m
  python -m phi4train curriculum scale=demo
"""

_FLAGS = """\
flags:
  --help                 this text; with a stage: its keys and values
  --cfg job [--resolve]  print the composed configuration and stop
  --info defaults-tree   print where its values come from
  -m, --multirun         train once for each value of key=a,b, in a run folder each
  --dry-run              tell what would run, load and be replaced, and do nothing
  --config-dir DIR       also look for stage/, scale/, hardware/, curriculum/ ... in a folder of your own
  --shell-completion     eval "$(phi4train -sc install=bash)"
  --version              of phi4train
  --debug                show the traceback of an error
  --hydra-help           everything else that Hydra offers
"""


def help_text(verbs: Mapping[str, str], config_dir: Path | None = None) -> str:
    """Verbs, stages, scales, groups and flags, each with a line of its own."""
    catalog = Catalog(config_dir)
    scales = (
        f"scales (full: published sizes, the default; demo: minutes on a CPU):\n  {', '.join(catalog.scales)}"
    )
    groups = "\n".join(
        f"  {group}={'|'.join(sorted(catalog.options[group]))}"
        for group in ("hardware", "strategy", "logger")
    )
    return "\n".join(
        [
            _USAGE,
            _table("stages", catalog.stage_descriptions()),
            f"{scales}\n\nother groups:\n{groups}\n",
            _table("verbs (none: train)", verbs),
            _FLAGS,
        ]
    )


def _table(title: str, rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return f"{title}:\n" + "".join(f"  {name:{width}}  {text}\n" for name, text in rows.items())
