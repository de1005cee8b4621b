"""Who of a table of NAS-Bench-101 cells is one edit away from whom, and how that is kept."""

import numpy as np
import pytest

from weaknas_jax import Table
from weaknas_jax.runs import task
from weaknas_jax.spaces.nasbench101 import cells as space
from weaknas_jax.spaces.nasbench101 import rows as nasbench101_rows
from weaknas_jax.spaces.nasbench101.encodings import org
from weaknas_jax.spaces.nasbench101.neighbours import neighbours
from weaknas_jax.spaces.nasbench101.rows import rows
from weaknas_jax.storage import cache
from weaknas_jax.tables import nasbench101 as packed

BEST = 0x66289520


def one_by_one(cells: space.Cells, asked: np.ndarray) -> list[list[int]]:
    """The same of some rows, by listing all edits and looking each up among the N."""
    row = {p: i for i, p in enumerate(space.fingerprint(space.prune(cells)).tolist())}
    near, source = neighbours(space.Cells(cells.matrix[asked], cells.ops[asked]))
    found = [[] for _ in asked]
    for i, p in zip(source.tolist(), space.fingerprint(near).tolist(), strict=True):
        found[i] += [row[p]] if p in row else []
    return found


def listed(near: np.ndarray) -> list[list[int]]:
    return [of[of >= 0].tolist() for of in near]


@pytest.fixture(scope="module")
def drawn():
    """2,000 rows of the table, drawn evenly."""
    chosen = np.random.default_rng(0).choice(space.SIZE, 2000, replace=False)
    return space.decode(packed.codes()[chosen])


@pytest.fixture(scope="module")
def close():
    """The best cell and what is at most two edits away, and small cells likewise, mixed."""
    cells = space.decode(np.array([BEST, 1 << 25 | 0x3FF]))
    for _ in range(2):
        cells = space.Cells(*map(np.concatenate, zip(cells, neighbours(cells)[0], strict=True)))
    different = np.unique(space.fingerprint(cells), return_index=True)[1]
    mixed = np.random.default_rng(1).permutation(different)
    return space.Cells(cells.matrix[mixed], cells.ops[mixed])


@pytest.mark.parametrize("which", ["drawn", "close"])
def test_they_are_those_that_listing_all_edits_gives(which, request):
    cells = request.getfixturevalue(which)
    near, expected = rows(cells), one_by_one(cells, np.arange(len(cells.ops)))
    assert near.dtype == np.int32
    assert listed(near) == expected
    assert near.shape[1] == max(map(len, expected))
    assert sum(map(len, expected)) > 100


@pytest.mark.slow
def test_of_the_whole_table_they_are_those_that_listing_all_edits_gives():
    cells = space.decode(packed.codes())
    asked = np.random.default_rng(0).choice(space.SIZE, 5000, replace=False)
    near = rows(cells)
    assert near.shape == (space.SIZE, 84)
    assert listed(near[asked]) == one_by_one(cells, asked)


def test_they_do_not_depend_on_the_chunk(close):
    np.testing.assert_array_equal(rows(close, chunk=1000), rows(close))


def test_they_follow_the_cells_whatever_the_rows_order(close):
    order = np.random.default_rng(2).permutation(len(close.ops))
    near = rows(space.Cells(close.matrix[order], close.ops[order]))
    np.testing.assert_array_equal(np.where(near >= 0, order[near], -1), rows(close)[order])


def test_of_the_same_cell_twice_the_first_is_given(drawn):
    twice = space.Cells(*(np.concatenate([part, part]) for part in drawn))
    np.testing.assert_array_equal(rows(twice), np.tile(rows(drawn), (2, 1)))


def test_a_cell_alone_has_none():
    assert rows(space.decode(np.array([BEST]))).shape == (1, 0)


def test_they_are_mutual_unless_more_was_cut_off(close):
    edges = close.matrix.sum(axis=(1, 2)).astype(int)
    pairs = {(i, j) for i, of in enumerate(listed(rows(close))) for j in of}
    mutual = {(i, j) for i, j in pairs if abs(edges[i] - edges[j]) <= 2}
    assert mutual == {(j, i) for i, j in mutual}
    assert len(mutual) < len(pairs)
    assert all(edges[i] > edges[j] and (j, i) not in pairs for i, j in pairs - mutual)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "weaknas_jax"


@pytest.fixture
def make():
    """Gives rows, and counts how often."""

    def made():
        made.times += 1
        return np.array([[1, 2], [0, -1], [-1, -1]], np.int32)

    made.times = 0
    return made


NAMES = np.array(["a", "b", "c"])


def test_they_are_made_once_and_kept(home, make):
    for _ in range(2):
        found = cache.rows("test", NAMES, make)
        np.testing.assert_array_equal(found, [[1, 2], [0, -1], [-1, -1]])
        assert found.dtype == np.int32
    assert make.times == 1
    cache.rows("test", NAMES[::-1], make)  # other architectures
    cache.rows("other", NAMES, make)
    assert make.times == len(list(home.iterdir())) == 3


@pytest.mark.parametrize("damage", [lambda b: b[:-40], lambda b: b"", lambda b: b[:60] + b[61:]])
def test_a_damaged_file_is_made_anew(home, make, damage):
    cache.rows("test", NAMES, make)
    (path,) = home.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(cache.rows("test", NAMES, make), [[1, 2], [0, -1], [-1, -1]])
    assert make.times == 2
    assert path.read_bytes() == whole


def test_where_nothing_can_be_kept_they_are_made(home, make, monkeypatch):
    home.write_text("a file where the folder would be")
    np.testing.assert_array_equal(cache.rows("test", NAMES, make)[0], [1, 2])
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(cache.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError))
    np.testing.assert_array_equal(cache.rows("test", NAMES, make)[0], [1, 2])


def test_a_task_has_them_and_keeps_those_of_a_whole_table(home, close, monkeypatch):
    codes, labels = space.code(space.prune(close)), np.linspace(10, 90, len(close.ops))
    table = Table("nasbench101", "d", org(close), labels[:, None], names=space.names(codes))
    expected = rows(close)
    np.testing.assert_array_equal(task.space(table, neighbours=True).neighbours, expected)
    assert not home.exists()  # parts of the table are too many to keep
    monkeypatch.setattr(space, "SIZE", len(table))
    for _ in range(2):
        near = task.space(table, neighbours=True).neighbours
        np.testing.assert_array_equal(near, expected)
        monkeypatch.setattr(nasbench101_rows, "rows", None)
