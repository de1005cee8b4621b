"""Backticks around names in expressions that are no Python words: `number of layers`."""

import keyword
import re
import unicodedata

_QUOTED = re.compile(r"""('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|`((?:[^`]|``)*)`""")  # texts, names


def as_name(name: str) -> str:
    """A column's name as expressions write it, in backticks unless it is a Python word.

    Also in backticks: a word that Python normalizes to another, as "º" to "o" (NFKC).

    >>> as_name("depth"), as_name("number of layers")
    ('depth', '`number of layers`')
    """
    same = unicodedata.normalize("NFKC", name) == name
    if same and name.isidentifier() and not keyword.iskeyword(name):
        return name
    return "`" + name.replace("`", "``") + "`"


def without_backticks(text: str, what: str, allowed: str) -> tuple[str, dict[str, str]]:
    """The text with a stand-in word for each name in backticks, and the names by stand-in.

    >>> without_backticks("`number of layers` < 3", "constraint", "<")
    ('_q0_ < 3', {'_q0_': 'number of layers'})
    """
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
