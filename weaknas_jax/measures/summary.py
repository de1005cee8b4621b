"""Reading and writing of the JSON files with settings and results.

The field ``format`` of each file names its kind: ``weaknas.search/2`` is the summary of a search on
a table. Files of version 0.1 have no such field and are still read; any other format is an error. A
new field is a line in `schemas`; `page` prints all schemas, for docs/formats.md.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from weaknas_jax.measures import schemas
from weaknas_jax.storage import files

VERSION = 2


class SummaryError(ValueError):
    """A file of a wrong kind or content; the message names it, the reason and a remedy."""


class Kind(NamedTuple):
    """One kind of file.

    Attributes:
      file: its name.
      about: what it describes.
      fields: its fields, see `schemas`.
      upgrade: converts content of version 0.1 to the current form.
    """

    file: str
    about: str
    fields: Mapping[str, Any]
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict


def _search_of_version_0_1(old: dict[str, Any]) -> dict[str, Any]:
    renamed = {"seeds": "num_runs", "of": "table_size"}
    new = {renamed.get(name, name): value for name, value in old.items()}
    usual = {"minimize": False, "percent": True, "timing_of_searches": 1}
    return usual | {"table_size": new.get("architectures")} | new


KINDS = {
    "search": Kind("summary.json", "a search on a table", schemas.SEARCH, _search_of_version_0_1),
    "best": Kind("best.json", "a search of a single run", schemas.BEST),
    "jobs": Kind("summary.json", "a search with jobs", schemas.JOBS),
    "subnetworks": Kind("summary.json", "a search of sub-networks", schemas.SUBNETWORKS),
    "demo": Kind("summary.json", "the demo of the supernet", schemas.DEMO),
    "training": Kind("result.json", "a training of a sub-network", schemas.TRAINING),
    "settings": Kind("settings.json", "a training of a sub-network", schemas.SETTINGS),
    "config": Kind("config.json", "a search on a table", schemas.CONFIG),
    "sweep": Kind("sweep.json", "a sweep over settings", schemas.SWEEP),
    "predictors": Kind("predictors.json", "a comparison of predictors", schemas.PREDICTORS),
}


def format_of(kind: str) -> str:
    """The value of ``format`` for a kind of file.

    >>> format_of("jobs")
    'weaknas.jobs/2'
    """
    return f"weaknas.{kind}/{VERSION}"


def write(path: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Writes a file of this kind, its ``format`` first.

    Raises:
      ownership.NotOurs: a file of that name exists that this program did not write.
    """
    files.write_json(path, {"format": format_of(kind), **content})


def read(path: Path, kind: str) -> dict[str, Any]:
    """The content of a file of this kind; files of version 0.1 are converted.

    Args:
      path: the file.
      kind: see `KINDS`.

    Raises:
      FileNotFoundError: the file is missing.
      SummaryError: it cannot be read, is damaged, or is of another kind or version.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, kind, str(error)) from None
    stated = content.get("format") if isinstance(content, dict) else None
    if stated not in (None, format_of(kind)):
        raise _unreadable(path, kind, f"its format is {stated!r}, not {format_of(kind)!r}")
    if stated is None and isinstance(content, dict):
        content = {"format": format_of(kind), **KINDS[kind].upgrade(content)}
    if why := _fault(content, schema(kind)):
        raise _unreadable(path, kind, why)
    return content


def _unreadable(path: Path, kind: str, why: str) -> SummaryError:
    record = KINDS[kind]
    return SummaryError(
        f"{path}: not the {record.file} of {record.about}: {why}; name another folder"
    )


_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def _fault(value: Any, of: Mapping[str, Any], name: str = "it") -> str | None:
    """The first mismatch of a value and its schema, in type or missing fields; None = valid."""
    kinds = of.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, _TYPES[kind]) for kind in kinds):
        return f"{name} is no {' or '.join(kinds)}"
    within: list[tuple[str, Any, Mapping]] = []
    if isinstance(value, list) and "items" in of:
        within = [(f"{name}[{i}]", item, of["items"]) for i, item in enumerate(value)]
    elif isinstance(value, dict):
        described = of.get("properties", {})
        if missing := [field for field in of.get("required", ()) if field not in value]:
            return f"field {missing[0]!r} of {name} is missing"
        within = [(f"field {k!r}", value[k], described[k]) for k in described if k in value]
    return next(filter(None, (_fault(item, under, at) for at, item, under in within)), None)


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a kind of file."""
    content = schemas.schema({"format": "string", **KINDS[kind].fields})
    content["properties"]["format"] = {"const": format_of(kind)}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": KINDS[kind].about}
    return head | content


def page() -> str:
    """All schemas as a page of Markdown."""
    parts = [_HEAD]
    for kind, record in KINDS.items():
        parts.append(f"## {format_of(kind)}\n\n`{record.file}` of {record.about}.\n")
        parts.append(f"```json\n{_printed(schema(kind))}\n```\n")
    return "\n".join(parts)


def _printed(value: Any, indent: str = "") -> str:
    """JSON; parts that fit into a line are on one line."""
    line, below = json.dumps(value), indent + " "
    if len(indent) + len(line) <= 96 or not isinstance(value, dict):
        return line
    fields = (f"{below}{json.dumps(k)}: {_printed(v, below)}" for k, v in value.items())
    return "{\n" + ",\n".join(fields) + f"\n{indent}}}"


_HEAD = """# Formats

The JSON files of a folder of results say in their field `format` what they are; each kind is below
as [JSON Schema](https://json-schema.org/). Files of version 0.1 have no `format` and are read all
the same (`seeds` of a search is `num_runs` now, and `of` is `table_size`); a format that is not
below is refused by name. This page is printed by `python -m weaknas_jax.measures.summary`.
"""

if __name__ == "__main__":
    print(page(), end="")
