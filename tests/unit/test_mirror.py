"""The tests mirror the package: each module has its test file, or it is said here which test covers it."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE, TESTS = ROOT / "phi4train", ROOT / "tests" / "unit"

TESTED_ELSEWHERE = {
    "config/reference.py": "it writes docs/configuration.md: tests/unit/docs/test_configuration.py compares",
    "config/hydra_setup.py": "it is how Hydra finds recipes: tests/unit/config/test_load.py composes with it",
    "evaluation/answers.py": "tests/unit/evaluation/test_evaluate.py lets a model answer real shards with it",
    "evaluation/held_out.py": "opens what others measure: tests/integration/test_stages.py runs it in every "
    "stage; its line is in tests/unit/evaluation/test_report.py",
    "evaluation/show_answers.py": "tests/unit/evaluation/test_evaluate.py prints answers of a model with it",
    "evaluation/stage.py": "composition: tests/integration/test_stages.py evaluates trained stages with it",
    "evaluation/table.py": "tests/unit/evaluation/test_report.py reads the tables of a whole report",
    "training/gradients/zero.py": "needs processes: tests/integration/test_ranks.py compares it with one",
    "training/gradients/gradients.py": "a protocol: tests/unit/training/gradients/test_exact.py holds "
    "what implements it to what it says",
    "training/stage_run.py": "composition: tests/integration/test_stages.py fits, evaluates and publishes "
    "with it, tests/integration/test_resume.py stops and saves",
    "training/stage.py": "composition: tests/integration/test_stages.py runs every stage, "
    "tests/integration/test_resume.py kills and resumes it",
}
"""Modules without a test file of their own, and the tests that cover them instead."""

CROSS_CUTTING = {
    "docs/test_site.py": "the pages of docs/ as a whole",
    "test_architecture.py": "rules of the whole package",
    "test_mirror.py": "rules of the whole package",
    "config/test_recipes.py": "what conf/, recipes/ and data_manifests/ hold",
    "docs/test_configuration.py": "docs/configuration.md, which the schema is written into",
    "docs/test_extending.py": "docs/extending.md and the examples that it shows",
    "data/media/test_fuzz.py": "damaged files through all that measures and decodes media",
    "data/samples/test_readings.py": "readings on their way from the record through collate to the loader",
    "docs/test_data_format.py": "what docs/data_format.md says",
    "model/test_audio_streaming.py": "memory and time of long clips through the whole audio part",
    "docs/test_promises.py": "what docs/promises.md names",
    "test_defaults.py": "rules of the whole package",
    "test_error_grammar.py": "rules of the whole package",
    "training/losses/test_ctc_learning.py": "what audio tokens learn from CTC in many steps",
}
"""Test files that mirror no module, and what they are about."""


def mirror_of(module: Path) -> Path:
    return module.with_name(f"test_{module.name}")


def modules() -> list[Path]:
    return sorted(
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py") and "_bundled" not in path.parts
    )


def all_test_files() -> Iterator[Path]:
    return (path.relative_to(TESTS) for path in sorted(TESTS.rglob("test_*.py")))


def test_every_module_has_a_test_file_or_a_reason() -> None:
    missing = [
        f"phi4train/{module}: write tests/unit/{mirror_of(module)}, or a reason in TESTED_ELSEWHERE"
        for module in modules()
        if not (TESTS / mirror_of(module)).is_file() and str(module) not in TESTED_ELSEWHERE
    ]
    assert not missing, "\n".join(missing)


def test_every_test_file_mirrors_a_module_or_is_cross_cutting() -> None:
    mirrored = {mirror_of(module) for module in modules()}
    stray = [
        f"tests/unit/{path}: rename it after the module that it tests, or add it to CROSS_CUTTING"
        for path in all_test_files()
        if path not in mirrored and str(path) not in CROSS_CUTTING
    ]
    assert not stray, "\n".join(stray)


def test_no_reason_outlives_what_it_is_about() -> None:
    known = {str(module) for module in modules()}
    assert TESTED_ELSEWHERE.keys() <= known, "no such module"
    tested = [module for module in TESTED_ELSEWHERE if (TESTS / mirror_of(Path(module))).is_file()]
    assert not tested, "these have a test file of their own"
    assert CROSS_CUTTING.keys() <= {str(path) for path in all_test_files()}, "no such test file"
    assert not {Path(path) for path in CROSS_CUTTING} & {mirror_of(module) for module in modules()}


def test_every_reason_names_a_test_file_that_exists() -> None:
    for module, reason in TESTED_ELSEWHERE.items():
        named = re.findall(r"tests/[\w/]+\.py", reason)
        assert named, f"{module}: the reason names no test file"
        assert [path for path in named if not (ROOT / path).is_file()] == [], module
