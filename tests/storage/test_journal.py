"""What a journal survives, and what it refuses."""

import json
import os
import zlib
from pathlib import Path

import pytest

from weaknas_jax.storage import identity, journal
from weaknas_jax.storage.identity import IdentityError
from weaknas_jax.storage.journal import JournalError

HEADER = {"seed": 3, "method": {"name": "gp"}}
RECORDS = [{"kind": "asked", "archs": [{"a": 1}]}, {"kind": "done", "arch": {"a": 1}, "score": 0.1}]


@pytest.fixture
def path(tmp_path):
    with journal.opened(tmp_path / "journal.jsonl", HEADER) as book:
        assert (book.records, book.torn) == ([], False)
        for record in RECORDS:
            book.write(record)
    return tmp_path / "journal.jsonl"


def reopened(path, header=HEADER):
    with journal.opened(path, header) as book:
        return book.records, book.torn


def test_records_come_back(path):
    assert reopened(path) == (RECORDS, False)
    assert journal.read(path)[1:] == RECORDS
    with journal.opened(path, HEADER) as book:
        book.write(RECORDS[0])
    assert reopened(path) == ([*RECORDS, RECORDS[0]], False)


def test_torn_anywhere_it_keeps_all_whole_lines(path):
    """Every length that a crash can leave."""
    content = path.read_bytes()
    ends = [i + 1 for i, c in enumerate(content) if c == ord("\n")]
    for length in range(len(content)):
        path.write_bytes(content[:length])
        whole = sum(end <= length for end in ends)
        torn = length > 0 and length not in ends
        assert reopened(path) == (RECORDS[: max(0, whole - 1)], torn), length
        assert path.read_bytes() == content[: ends[max(0, whole - 1)]]  # begun anew, or cut


def test_a_last_line_of_zeros_is_torn(path):
    """A file system may keep the length of what it did not keep."""
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * 70)
    assert reopened(path) == (RECORDS, True)
    path.write_bytes(content[:-30] + b"\0" * 29 + b"\n")
    assert reopened(path) == (RECORDS[:1], True)


def test_damage_in_the_middle_is_refused(path):
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"a":1', b'"a":2')
    damaged = b"".join(lines)
    path.write_bytes(damaged)
    with pytest.raises(
        JournalError,
        match=r"journal.jsonl: line 2 is damaged, or not the one that followed; restore",
    ):
        reopened(path)
    assert path.read_bytes() == damaged


def test_another_search_is_refused_by_name(path):
    content = path.read_bytes()
    with pytest.raises(
        IdentityError, match="was started with other settings: seed was 3, is 4; name"
    ) as refused:
        reopened(path, HEADER | {"seed": 4})
    assert "method" not in str(refused.value)
    with pytest.raises(IdentityError, match="pool was nothing, is 7"):
        reopened(path, HEADER | {"pool": 7})
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content", [b"abc", b"0a1b2c3d", b"hello", b"hello\n", b'{"a": 1}\n{"b": 2}\n', b"\x93NUMPY"]
)
def test_other_files_are_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"notes.txt: (not a journal|line 1 is damaged)"):
        reopened(path)
    assert path.read_bytes() == content


def test_one_process_at_a_time(path):
    with (
        journal.opened(path, HEADER),
        pytest.raises(JournalError, match="another process"),
        journal.opened(path, HEADER),
    ):
        pass
    with pytest.raises(JournalError, match=r"folder .* does not exist"):
        reopened(path.parent / "none" / "journal")


def test_a_record_that_cannot_be_written_leaves_the_rest_whole(path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    content = path.read_bytes()
    with journal.opened(path, HEADER) as book:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            book.write(RECORDS[0])
    assert path.read_bytes() == content


def test_a_whole_last_line_that_is_wrong_is_no_torn_one(path):
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"score":0.1', b'"score":0.7'))
    with pytest.raises(JournalError, match="line 3 is damaged"):
        reopened(path)


@pytest.mark.parametrize("line", [2, 3])
def test_a_repair_keeps_what_is_before_the_damage_and_a_copy(path, line):
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    damaged = b"".join([*lines[: line - 1], b"?" + lines[line - 1][1:], *lines[line:]])
    path.write_bytes(damaged)
    (path.parent / "journal.jsonl.damaged-1").write_text("somebody's")
    mended = journal.repair(path)
    assert (mended.kept, mended.dropped) == (line - 1, 4 - line)
    assert mended.copy.name == "journal.jsonl.damaged-2"
    assert mended.copy.read_bytes() == damaged
    assert (path.parent / "journal.jsonl.damaged-1").read_text() == "somebody's"
    assert path.read_bytes() == b"".join(lines[: line - 1])
    with journal.opened(path, HEADER) as book:
        for record in RECORDS[line - 2 :]:
            book.write(record)
    assert path.read_bytes() == content
    assert journal.repair(path) == journal.Repair(3, 0)


def test_what_cannot_be_repaired_stays(path, tmp_path):
    content = path.read_bytes().replace(b'"seed":3', b'"seed":9')
    path.write_bytes(content)
    with pytest.raises(JournalError, match="line 1 is damaged"):
        journal.repair(path)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["journal.jsonl"]
    for wrong in (tmp_path / "none", tmp_path, Path("/dev/null")):
        with pytest.raises(JournalError, match="no such file"):
            journal.repair(wrong)


def test_format_1_goes_on_as_it_is(tmp_path):
    """Each of its lines has a checksum of its own."""
    path = tmp_path / "journal"
    records = [{"kind": "search", "format": "weaknas-journal-1", **HEADER}, *RECORDS]
    lines = [json.dumps(record, separators=(",", ":")).encode() for record in records]
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(line), line) for line in lines))
    with journal.opened(path, HEADER) as book:
        assert book.records == RECORDS
        book.write({"kind": "more"})
    last = path.read_bytes().splitlines()[-1]
    assert last == b'%08x {"kind":"more"}' % zlib.crc32(b'{"kind":"more"}')
    assert reopened(path) == ([*RECORDS, {"kind": "more"}], False)


def test_a_later_format_is_said(tmp_path):
    text = b'{"kind":"search","format":"weaknas-journal-9"}'
    (tmp_path / "journal").write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    with pytest.raises(JournalError, match=r"a later version \(weaknas-journal-9\)"):
        reopened(tmp_path / "journal")


def test_what_differs_is_shown_where_it_differs():
    long = "python train.py --data=" + "x" * 300
    there = {"command": long + " --lr=0.1", "space": {"op": list(range(90)), "same": {"a": 1}}}
    here = {"command": long + " --lr=0.2", "space": {"op": list(range(91)), "same": {"a": 1}}}
    leaves = identity.differences(there, here)
    assert list(leaves) == ["command", "space.op"]
    text = identity.text(leaves)
    assert "--lr=0.1" in text
    assert "--lr=0.2" in text
    assert "89, 90]" in text
    assert len(text) < 400
    many = identity.text({str(i): (i, -i) for i in range(20)})
    assert many.endswith("; and 12 more")
