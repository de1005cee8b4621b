"""Names of any signs in expressions: in backticks, as `number of layers`."""

import keyword
import re
import unicodedata

_QUOTED = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|`((?:[^`]|``)*)`""")  # texts, names


def as_name(name: str) -> str:
    """A column's name as an expression has it, in backticks where it is no word.

    Nor is one that Python reads as another: of "º" it makes "o" (NFKC).

    >>> as_name("depth"), as_name("number of layers")
    ('depth', '`number of layers`')
    """
    same = unicodedata.normalize("NFKC", name) == name
    if same and name.isidentifier() and not keyword.iskeyword(name):
        return name
    return "`" + name.replace("`", "``") + "`"


def without_backticks(text: str, what: str, allowed: str) -> tuple[str, dict[str, str]]:
    """The text with a word for each name in backticks, and what those words stand for."""
    quoted: dict[str, str] = {}
    mark = "_q"
    while mark in text:
        mark += "_"

    def word(match: re.Match) -> str:
        if match[1] is not None:
            return match[0]
        name = match[2].replace("``", "`")
        if not name.strip():
            raise ValueError(f"{what}: no name between two backticks; allowed are {allowed}")
        quoted[stand_in := f"{mark}{len(quoted)}_"] = name
        return stand_in

    source = _QUOTED.sub(word, text)
    if "`" in _QUOTED.sub(lambda match: "", source):
        raise ValueError(f"{what}: a backtick is not closed; allowed are {allowed}")
    return source, quoted
