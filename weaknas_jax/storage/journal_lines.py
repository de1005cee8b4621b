"""Validation of the sequence of lines in a search's journal.

A journal whose lines are not chained (`journal`) may lack a line or repeat
one, although each line is valid. Most such faults are detected, since each line must follow from
the lines before it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

ASKED, TRIED, DONE, AGAIN, REPEAT, SETTINGS = (
    *("asked", "tried", "done", "again", "repeat", "settings"),
)
_OUTCOME = {"arch", "score", "error", "attempts", "seconds", "info"}
_FIELDS = {
    ASKED: {"archs"},
    TRIED: {"arch"},
    DONE: _OUTCOME,
    AGAIN: set(),
    REPEAT: _OUTCOME,
    SETTINGS: set(),
}


def key(arch: Any) -> str:
    """The text of an architecture, equal for equal architectures."""
    return json.dumps(arch, sort_keys=True)


def misfit(mode: str, records: Sequence[Mapping[str, Any]]) -> tuple[int, str] | None:
    """The first record that does not follow from those before it: its index, and why.

    Args:
      mode: of the search, see `jobs`.
      records: of its journal, without the first line.
    """
    state = _State(mode)
    for at, record in enumerate(records):
        if why := state.read(at, record):
            return at, why
    return None


class _State:
    """The state of a search, from its journal."""

    def __init__(self, mode: str):
        self.rounds = mode == "rounds"
        self._begin()

    def _begin(self) -> None:
        self.asked: dict[str, int] = {}  # architecture: index of the record
        self.out: dict[str, int] = {}  # asked for and not finished: failed attempts
        self.done: dict[str, tuple[int, Any]] = {}  # index of the record, score
        self.tried: dict[str, int] = {}  # of repeats: failed attempts
        self.repeated: dict[str, int] = {}

    def read(self, at: int, record: Mapping[str, Any]) -> str | None:
        """Applies a record; returns why it is invalid, None = it is valid."""
        kind = record.get("kind")
        if kind not in _FIELDS:
            return f"is of the kind {kind!r}, which this version does not know"
        if missing := sorted(_FIELDS[kind] - set(record)):
            return f"has no {missing[0]!r}"
        return getattr(self, f"_{kind}")(at, record)

    def _asked(self, at: int, record: Mapping[str, Any]) -> str | None:
        if self.rounds and self.out:
            return (
                f"asks for another round before {len(self.out)} of the last one are finished, "
                f"such as {min(self.out)}"
            )
        if not isinstance(record["archs"], list) or not record["archs"]:
            return "asks for nothing"
        for arch in record["archs"]:
            name = key(arch)
            if name in self.asked:
                return f"asks for {name}, as line {self.asked[name] + 2} did"
            self.asked[name], self.out[name] = at, 0
        return None

    def _tried(self, at: int, record: Mapping[str, Any]) -> str | None:
        name = key(record["arch"])
        if record.get("repeat"):
            self.tried[name] = self.tried.get(name, 0) + 1
            return self._not_to_repeat(name)
        if name not in self.out:
            return self._not_out(name, "an attempt at")
        self.out[name] += 1
        return None

    def _done(self, at: int, record: Mapping[str, Any]) -> str | None:
        name = key(record["arch"])
        if name not in self.out:
            return self._not_out(name, "the end of")
        tries = self.out.pop(name)
        self.done[name] = at, record["score"]
        return _outcome_fault(record, tries)

    def _again(self, at: int, record: Mapping[str, Any]) -> str | None:
        del at, record
        if any(score is not None for _, score in self.done.values()):
            return "begins anew, though some architectures have a score"
        self._begin()
        return None

    def _repeat(self, at: int, record: Mapping[str, Any]) -> str | None:
        name = key(record["arch"])
        if name in self.repeated:
            return f"is a repeat of {name}, as line {self.repeated[name] + 2} is"
        self.repeated[name] = at
        return self._not_to_repeat(name) or _outcome_fault(record, self.tried.pop(name, 0))

    def _settings(self, at: int, record: Mapping[str, Any]) -> None:
        del at, record

    def _not_to_repeat(self, name: str) -> str | None:
        if self.done.get(name, (0, None))[1] is None:
            return f"is a repeat of {name}, which has no score yet"
        return None

    def _not_out(self, name: str, event: str) -> str:
        if name in self.done:
            return f"is {event} {name}, which line {self.done[name][0] + 2} finished"
        return f"is {event} {name}, which no line before asked for"


def _outcome_fault(record: Mapping[str, Any], tries: int) -> str | None:
    """Why an outcome is invalid after ``tries`` failed attempts; None = it is valid."""
    score, attempts = record["score"], record["attempts"]
    if isinstance(score, bool) or not isinstance(score, int | float | None):
        return f"has the score {score!r}"
    if attempts != tries + 1:
        return f"took {attempts} attempts, of which the lines before have {tries}"
    return None
