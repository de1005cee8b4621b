"""What a journal survives, and what it refuses."""

import os

import pytest

from weaknas_jax import journal
from weaknas_jax.journal import JournalError

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
    with pytest.raises(JournalError, match=r"journal.jsonl: line 2 is damaged, and more follow"):
        reopened(path)
    assert path.read_bytes() == damaged


def test_another_search_is_refused_by_name(path):
    content = path.read_bytes()
    with pytest.raises(JournalError, match=r"another search: seed=4 \(there: 3\)") as refused:
        reopened(path, HEADER | {"seed": 4})
    assert "method" not in str(refused.value)
    with pytest.raises(JournalError, match=r"pool=7 \(there: null\)"):
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
