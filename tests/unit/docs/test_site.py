"""The pages are all in the navigation, and the messages that they quote are those of the package."""

import ast
import re
from functools import cache

import yaml

from tests.stage_workspace import ROOT

DOCS = ROOT / "docs"
QUOTED = re.compile(r"^\*\*(.+?)\*\*", re.MULTILINE)


def test_the_navigation_has_every_page_once() -> None:
    pages = [
        page for entry in yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"] for page in entry.values()
    ]
    assert sorted(pages) == sorted(path.name for path in DOCS.glob("*.md"))


@cache
def texts_of_the_package() -> str:
    """Every string that the code holds, those that it puts together from parts joined."""
    found = []
    for path in (ROOT / "phi4train").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def test_messages_in_troubleshooting_are_said_by_the_package() -> None:
    quoted = [
        part.strip()
        for heading in QUOTED.findall((DOCS / "troubleshooting.md").read_text())
        for message in re.findall(r"`([^`]+)`", heading)
        for part in re.split(r"\.\.\.| · found", message)
        if len(part.strip()) > 6
    ]
    assert len(quoted) > 8
    missing = [part for part in quoted if part not in texts_of_the_package()]
    assert not missing
