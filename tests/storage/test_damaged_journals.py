"""A journal that something happened to: refused by name, or the very same search."""

import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaknas_jax.jobs import search
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, categorical, integer
from weaknas_jax.storage import journal
from weaknas_jax.storage.journal import JournalError

SPACE = Choices({"depth": integer(1, 5), "op": categorical("a", "b"), "more": integer(0, 1)})
METHOD = methods.make(method="random", budget=12, init=4, per_round=4)
MODES = ("rounds", "async")


def value(arch):
    if arch["depth"] == 5:
        raise ValueError("too deep")
    return arch["depth"] + arch["more"] / 2


def run(path, mode):
    with ThreadPoolExecutor(1) as threads:
        return search(METHOD, value, SPACE, executor=threads, mode=mode, journal=path, repeat_top=2)


def attempt(path, mode):
    """The result, or why there is none."""
    try:
        return run(path, mode), None
    except JournalError as error:
        return None, str(error)


def told(result):
    return [(e.arch, e.score, e.attempts) for e in result.evaluations], [
        (r.first.arch, r.scores) for r in result.repeats
    ]


def unchained(content: bytes) -> bytes:
    """The journal as format 1 has it, with the cost in its first line."""
    out = []
    for line in content.splitlines():
        record = json.loads(line[9:])
        if record["kind"] == "search":
            record["format"] = "weaknas-journal-1"
            record["space"]["cost"] = "depth"
        if record["kind"] != "settings":
            text = json.dumps(record, separators=(",", ":")).encode()
            out.append(b"%08x %s\n" % (zlib.crc32(text), text))
    return b"".join(out)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Of each mode: the lines of a finished search, and what it found."""
    folder = tmp_path_factory.mktemp("whole")
    results = {mode: told(run(folder / mode, mode)) for mode in MODES}
    assert any(score is None for _, score, _ in results["rounds"][0])
    assert all(
        len(evaluations) == 12 and len(again) == 2 for evaluations, again in results.values()
    )
    return {mode: ((folder / mode).read_bytes(), results[mode]) for mode in MODES}


@st.composite
def changes(draw):
    """What may happen to the lines of a file."""
    what = draw(st.sampled_from(["remove", "double", "swap", "flip", "cut", "move"]))
    one, other, value = (draw(st.integers(0, 10**6)) for _ in range(3))

    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        i, j = one % len(lines), other % len(lines)
        if what == "remove":
            del lines[i]
        elif what == "double":
            lines.insert(i, lines[i])
        elif what == "swap":
            lines[i], lines[j] = lines[j], lines[i]
        elif what == "move":
            lines.insert(j, lines.pop(i))
        elif what == "cut":
            lines[i] = lines[i][: other % len(lines[i])]
        else:
            at = one % len(content)
            return content[:at] + bytes([value % 256]) + content[at + 1 :]
        return b"".join(lines)

    return what, change


@pytest.mark.parametrize("mode", MODES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changed=changes())
def test_any_damage_is_refused_or_makes_no_difference(whole, tmp_path, mode, changed):
    (content, expected), (what, change) = whole[mode], changed
    damaged, path = change(content), tmp_path / "journal"
    path.write_bytes(damaged)
    result, why = attempt(path, mode)
    if why is None:
        assert result.complete
        assert told(result) == expected, what
    else:
        assert str(path) in why, what
        assert re.search(r"line \d+|not a journal of ours", why), what
        assert path.read_bytes() == damaged


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changed=changes())
def test_of_format_1_too_in_rounds(whole, tmp_path, changed):
    (content, expected), (what, change) = whole["rounds"], changed
    damaged, path = change(unchained(content)), tmp_path / "journal"
    path.write_bytes(damaged)
    result, why = attempt(path, "rounds")
    if why is None:
        assert told(result) == expected, what
    else:
        assert str(path) in why, what
        assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ("no ask", "line 2 is an attempt at .*, which no line before asked for"),
        ("no end", r"asks for another round before 1 of the last one are finished, such as \{"),
        ("two ends", r"line \d is the end of .*, which line \d finished"),
        ("two asks", "line 3 asks for another round"),
        ("no try", "took 2 attempts, of which the lines before have 0"),
    ],
)
def test_what_format_1_says_of_a_line(whole, tmp_path, what, match):
    path, lines = tmp_path / "journal", unchained(whole["rounds"][0]).splitlines(keepends=True)
    tried = next(at for at, line in enumerate(lines) if b'"tried"' in line)
    first_end = next(at for at, line in enumerate(lines) if b'"done"' in line)
    if what.startswith("two"):
        at = {"two ends": first_end, "two asks": 1}[what]
        lines.insert(at, lines[at])
    else:
        del lines[{"no ask": 1, "no end": first_end, "no try": tried}[what]]
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match=match):
        run(path, "rounds")


def test_a_repaired_journal_goes_on_to_the_same_end(whole, tmp_path):
    content, expected = whole["rounds"]
    for write in (lambda content: content, unchained):
        path = tmp_path / "journal"
        lines = write(content).splitlines(keepends=True)
        del lines[6]
        path.write_bytes(b"".join(lines))
        with pytest.raises(JournalError, match=r"keep the lines before that one .*journal\.repair"):
            run(path, "rounds")
        mended = journal.repair(path)
        assert mended.kept + mended.dropped == len(lines)
        assert mended.copy.read_bytes() == b"".join(lines)
        assert told(run(path, "rounds")) == expected


def test_what_does_not_change_a_search_may_change(whole, tmp_path):
    """A corrected cost, in either format; it is written down."""
    content, expected = whole["rounds"]
    for at, write in enumerate((lambda content: content, unchained)):
        path = tmp_path / f"journal{at}"
        path.write_bytes(write(content))
        space = Choices(SPACE.choices, cost="depth * 2")
        result = search(METHOD, value, space, workers=3, retries=2, timeout=9.0, journal=path)
        assert result.resumed == 12
        assert told(result) == expected
        last = journal.read(path)[-1]
        assert (last["kind"], last["cost"], last["workers"]) == ("settings", "depth * 2", 3)
        size = path.stat().st_size
        search(METHOD, value, space, workers=3, retries=2, timeout=9.0, journal=path)
        assert path.stat().st_size == size
