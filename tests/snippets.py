"""What the pages print to be copied, and how it is run: collected from the pages themselves.

A comment right above a block of code says what is not to be run as it stands:

    <!-- run: with="--seeds=1 --budget=30" -->      appended to each command of the block
    <!-- run: line="--resume" with="" -->           to commands that hold this text; the last wins
    <!-- run: swap="FILE -> mine.csv; 60 -> 20" --> in commands and in Python
    <!-- run: quick -->                             also among the quick tests
    <!-- not run: why -->                           with line="..." as well
"""

import os
import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(
    r"(?P<above>(?:^ *<!--.*?-->\n)*)^(?P<indent> *)```(?P<language>\w*)[^\n]*\n"
    r"(?P<body>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
_MARK = re.compile(r"<!-- (not run|run):(.*?)-->", re.DOTALL)
_OPTION = re.compile(r'(\w+)="([^"]*)"')
_INLINE = re.compile(r"`((?:python -m|weaknas|pip install) [^`\n]+)`")


class Snippet(NamedTuple):
    """A command, or a block of Python.

    Attributes:
      page: its path from the root.
      line: its line in the page.
      language: ``bash`` or ``python``.
      text: as it is printed; ``&&`` divides commands.
      extra: flags to append.
      swaps: what to put in place of what.
      quick: whether it is run among the quick tests.
      reason: why it is not run, None = it is.
      error: the first line of errors that the page prints below it, None = it succeeds.
    """

    page: str
    line: int
    language: str
    text: str
    extra: str = ""
    swaps: tuple[tuple[str, str], ...] = ()
    quick: bool = False
    reason: str | None = None
    error: str | None = None

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"

    @property
    def runnable(self) -> str:
        """The text with what the marks ask for."""
        text = self.text
        for old, new in self.swaps:
            text = text.replace(old, new)
        if self.language == "python":
            return text
        return f"{shlex.join(shlex.split(text, comments=True))} {self.extra}".strip()


def snippets(page: Path, text: str | None = None) -> list[Snippet]:
    """All that stands in fenced blocks of a page: Python whole, commands one by one."""
    text = page.read_text() if text is None else text
    name = page.relative_to(ROOT).as_posix()
    out = []
    for block in _FENCE.finditer(text):
        first = text.count("\n", 0, block.start("body")) + 1
        marks = _MARK.findall(block["above"])
        if block["language"] == "python":
            out.append(_marked(Snippet(name, first, "python", block["body"]), marks))
        elif block["language"] == "bash":
            out += [_marked(one, marks) for one in _commands(name, first, block["body"])]
        else:
            out += [_marked(one, marks) for one in _console(name, first, block["body"])]
    return out


def inline(page: Path) -> list[Snippet]:
    """The commands in a page's sentences and tables."""
    text = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), page.read_text())
    name = page.relative_to(ROOT).as_posix()
    return [
        Snippet(name, text.count("\n", 0, found.start()) + 1, "bash", found[1])
        for found in _INLINE.finditer(text)
    ]


def _commands(page: str, first: int, body: str) -> list[Snippet]:
    out, begun = [], ""
    for number, line in enumerate(body.splitlines(), first):
        if line.rstrip().endswith("\\"):
            begun += line.rstrip()[:-1]
            continue
        for command in re.split(r"\s+&&\s+", (begun + line).strip()):
            if command and not command.startswith("#"):
                out.append(Snippet(page, number, "bash", command))
        begun = ""
    return out


def _console(page: str, first: int, body: str) -> list[Snippet]:
    """The lines after a ``$``, each with the error that follows it."""
    lines = body.splitlines()
    return [
        Snippet(page, first + at, "bash", line[2:], error=after if "error:" in after else None)
        for at, (line, after) in enumerate(zip(lines, [*lines[1:], ""], strict=True))
        if line.startswith("$ ")
    ]


def _marked(snippet: Snippet, marks: list[tuple[str, str]]) -> Snippet:
    if snippet.language == "bash" and installs(snippet.text):
        return snippet._replace(reason="it installs packages")  # whatever the marks say
    for kind, said in marks:
        options = dict(_OPTION.findall(said))
        if options.get("line", "") not in snippet.text:
            continue
        rest = _OPTION.sub("", said).split()
        if kind == "not run":
            snippet = snippet._replace(reason=" ".join(rest))
            continue
        pairs = [pair.split(" -> ") for pair in options.get("swap", "").split("; ") if pair]
        snippet = snippet._replace(
            extra=options.get("with", snippet.extra),
            swaps=(*snippet.swaps, *((old, new) for old, new in pairs)),
            quick="quick" in rest or snippet.quick,
            reason=None,
        )
    return snippet


def installs(command: str) -> bool:
    """Whether the command makes an environment, or fills one."""
    words = command.split()
    return words[0].endswith("pip") or words[1:3] in (["-m", "venv"], ["-m", "pip"])


def script(page: Path) -> str:
    """The Python of a page as one program, each line where it stands on the page."""
    lines = [""] * (page.read_text().count("\n") + 1)
    for snippet in snippets(page):
        if snippet.language == "python" and snippet.reason is None:
            body = snippet.runnable.splitlines()
            lines[snippet.line - 1 : snippet.line - 1 + len(body)] = body
    return "\n".join(lines) + "\n"


def bad_sources(text: str, extras: set[str], names: set[str], repository: str) -> list[str]:
    """What ``pip install`` lines of ``text`` name that is not there: the package is on no index.

    Args:
      text: of a page, a module or a notebook.
      extras: of the package.
      names: packages that may be installed by name, such as its dependencies.
      repository: where the package can be had from.
    """
    out = []
    for line in re.findall(
        r"pip install ((?:'[^'\n]*'|\"[^\"\n]*\"|\\\"[^\n]*?\\\"|[-.\w/:+=]+ ?)+)", text
    ):
        for word in shlex.split(line.replace("\\", "")):
            place = re.fullmatch(r"(.*?)(?:\[(.*)\])?( @ .*)?", word)
            wanted = {e for e in (place[2] or "").split(",") if e and e[0] != "$"}
            if word.startswith("-") or word.startswith("https://"):
                continue
            here = place[1] == "." or (place[3] or "").startswith(f" @ git+{repository}")
            if (here and not wanted <= extras) or (
                not here and re.split("[<>=]", word)[0] not in names
            ):
                out.append(word)
    return out


def environment() -> dict[str, str]:
    """In which commands find this tree and this Python, and no accelerator."""
    import sys

    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PATH": path}
