"""Every promise in docs/promises.md names tests, and those tests exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "promises.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
LINES = PAGE.read_text().splitlines()


def paragraphs() -> list[list[str]]:
    """The page from one bold promise to the next."""
    found: list[list[str]] = []
    for line in LINES:
        if line.startswith(("**", "## ")):
            found.append([])
        if found:
            found[-1].append(line)
    return [lines for lines in found if lines[0].startswith("**")]


@pytest.mark.parametrize("lines", paragraphs(), ids=lambda lines: lines[0].strip("*")[:40])
def test_every_promise_names_a_test(lines: list[str]) -> None:
    assert NAMED.search("\n".join(lines)), "a promise without a test is none"


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(PAGE.read_text()))))
def test_every_named_test_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_no_mention_of_a_test_escapes_the_search() -> None:
    mentioned = [line for line in LINES if "tests/" in line]
    assert len(mentioned) > 40 and all(NAMED.search(line) for line in mentioned)
