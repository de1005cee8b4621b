"""Every relative link of the documentation leads somewhere, and every page is in the navigation."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_CODE = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)
_LINK = re.compile(
    r"""\]\(\s*<?([^)\s>]+)  # [text](target "title"), ![text](target)
      | ^\ *\[[^]]+\]:\s*(\S+)  # [name]: target
      | \b(?:src|href)=["']([^"']+)""",
    re.MULTILINE | re.VERBOSE,
)


def links(text: str) -> list[str]:
    """The targets that are files or headings of the repository."""
    # The text of a link may be code, so that code leaves a word behind.
    found = (next(filter(None, m.groups())) for m in _LINK.finditer(_CODE.sub("code", text)))
    return [target for target in found if not re.match(r"[a-z][a-z0-9+.-]*:|//", target)]


def anchors(text: str) -> set[str]:
    """GitHub's: lower case, hyphens for spaces, without punctuation, the second one with -1."""
    known: dict[str, int] = {}
    out = set()
    fences = re.compile(r"^ *(`{3,}|~{3,}).*?^ *\1", re.MULTILINE | re.DOTALL)
    for title in _HEADING.findall(fences.sub("", text)):
        shown = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", shown.lower().replace("*", "")).replace(" ", "-")
        out.add(f"{slug}-{known[slug]}" if slug in known else slug)
        known[slug] = known.get(slug, 0) + 1
    return out


def faults(page: Path, text: str) -> list[str]:
    """The links that lead nowhere."""
    out = []
    for target in links(text):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.is_relative_to(ROOT) or not path.exists():
            out.append(f"{target}: no such file")
        elif anchor and path.suffix == ".md":
            there = text if path == page else path.read_text()
            if anchor not in anchors(there):
                out.append(f"{target}: no such heading")
    return out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    assert faults(page, page.read_text()) == []


def test_a_link_that_leads_nowhere_is_found():
    text = """# A `b_c`: the *2nd*
# Twice
## Twice
[good](docs/paper.md#the-figures) [good](#a-b_c-the-2nd) [good](#twice-1)
[away](https://a.b/c) `[code](none)` ![`picture`](none.png "title") [`x`](docs/none.md)
[y](#none) [z](docs/results.md#none) <img src="none.svg"> [out](../none)

[ref]: none.txt
```
[code](none) # Fenced
```
[fenced](#fenced)
"""
    assert [fault.split(":")[0] for fault in faults(ROOT / "README.md", text)] == [
        "none.png",
        "docs/none.md",
        "#none",
        "docs/results.md#none",
        "none.svg",
        "../none",
        "none.txt",
        "#fenced",
    ]


def test_every_page_is_in_the_navigation():
    yaml = pytest.importorskip("yaml", reason="PyYAML reads mkdocs.yml: pip install -e '.[docs]'")

    def pages(entry) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [
            page
            for e in (entry.values() if isinstance(entry, dict) else entry)
            for page in pages(e)
        ]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    docs = ROOT / "docs"
    assert sorted(listed) == sorted(p.relative_to(docs).as_posix() for p in docs.rglob("*.md"))


def _named(text: str) -> list[str]:
    """What a page names as ``file::test``."""
    return re.findall(r"`(test_\w+\.py::\w+)`", text)


def test_every_test_that_the_guarantees_name_exists():
    page = (ROOT / "docs" / "guarantees.md").read_text()
    named = _named(page)
    there = {
        f"{path.name}::{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert sorted(set(named) - there) == []
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.endswith("held by |")]
    assert len(rows) > 20
    assert [row for row in rows if not _named(row)] == []  # a promise that nothing holds
