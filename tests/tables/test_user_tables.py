"""CSV files and .npz of any names: what is read is what is written there."""

import csv
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaknas_jax import TableError, load_table, save_table
from weaknas_jax.tables import read_arrays, read_csv

FIXTURE = settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CELLS = """\ufeffname,depth, op ,kernel,valid_10,valid_2,test,params
a,1,skip,3,91.5,91,90.5,1000
"b,c",2, conv ,5,,92.25,91.5,2000

d,3,pool,3,nan,,,3000
"""


@pytest.fixture
def write(tmp_path):
    def made(text, encoding="utf-8"):
        (tmp_path / "mine.csv").write_text(text, encoding=encoding, newline="")
        return tmp_path / "mine.csv"

    return made


def test_every_cell_has_its_place(write, tmp_path):
    table = read_csv(write(CELLS), extra=["params"], one_hot=["kernel"])
    nan = np.nan
    assert table.names.tolist() == ["a", "b,c", "d"]
    depth_op_kernel = [[1, 0, 0, 1, 1, 0], [2, 1, 0, 0, 0, 1], [3, 0, 1, 0, 1, 0]]
    assert table.encoding.tolist() == depth_op_kernel
    assert table.encoding.dtype == np.float32
    np.testing.assert_array_equal(table.valid, [[91, 91.5], [92.25, nan], [nan, nan]])
    np.testing.assert_array_equal(table.test, [[90.5], [91.5], [nan]])
    assert table.extra["params"].tolist() == [1000, 2000, 3000]
    assert table.extra["params"].dtype == np.int64
    assert table.source == (
        "mine.csv; features: depth: ordered number, 3 levels (1 .. 3); "
        "op: choice of 3 (conv | pool | skip); kernel: choice of 2 (3 | 5)"
    )
    assert table.columns["op"].tolist() == ["skip", "conv", "pool"]
    assert table.columns["kernel"].tolist() == [3, 5, 3]
    assert table.dataset == "mine"
    save_table(tmp_path / "mine.npz", table)
    back = load_table(tmp_path / "mine.npz")
    np.testing.assert_array_equal(back.valid, table.valid)
    assert back.names.tolist() == table.names.tolist()


def test_options_choose_the_columns(write):
    text = "arch,acc,final,a,b,t,note\r\nx,0.5,0.25,1,2,,p\r\ny,0.75,0.5,3,4,2.5,q\r\n"
    table = read_csv(
        write(text),
        valid=["acc"],
        test=["final"],
        name="arch",
        features=["b", "a"],
        extra=["t", "note"],
        scale=100,
        dataset="d",
    )
    assert table.encoding.tolist() == [[2, 1], [4, 3]]
    assert table.valid.tolist() == [[50], [75]]
    assert table.test.tolist() == [[25], [50]]
    assert table.names.tolist() == ["x", "y"]
    assert table.extra["note"].tolist() == ["p", "q"]
    np.testing.assert_array_equal(table.extra["t"], [np.nan, 2.5])
    assert table.dataset == "d"


PLAIN = "depth,op,valid\n1,a,50\n2,b,60\n"
BAD = {
    "empty": ("", {}, "no header line"),
    "header only": ("depth,valid\n", {}, "nothing but a header"),
    "short line": ("depth,valid\n1,50\n2\n", {}, "line 3 has 1 cells, the header has 2"),
    "long line": ("depth,valid\n1,50,7\n", {}, "line 2 has 3 cells"),
    "semicolons": ("depth;valid\n1;50\n", {}, "line 1 has semicolons"),
    "tabs": ("depth\tvalid\n1\t50\n", {}, "line 1 has tabs"),
    "no column name": ("depth,,valid\n1,2,50\n", {}, "line 1, column 2 has no name"),
    "same column": ("depth,depth,valid\n1,2,50\n", {}, "column 2 is a second 'depth'"),
    "open quote": ('depth,valid\n"1,50\n', {}, "not CSV"),
    "NUL": ("depth,valid\na\0,50\n", {}, "line 2 has a NUL"),
    "no labels": ("depth,acc\n1,50\n", {}, r"no column 'valid' .*--valid=.*depth, acc"),
    "two kinds": ("d,valid,valid_1\n1,50,50\n", {}, "both 'valid' and 'valid_1'"),
    "text label": ("d,valid\n1,50\n2,failed\n", {}, "line 3, column 'valid' reads 'failed'"),
    "infinite label": ("d,valid\n1,inf\n", {}, "line 2, column 'valid' reads 'inf'"),
    "no label at all": ("d,valid\n1,\n", {}, "'valid' has no finite label"),
    "fractions": ("d,valid\n1,0.9\n2,0.8\n", {}, "no valid accuracy is above 1.*--scale=100"),
    "test fractions": ("d,valid,test\n1,90,.9\n", {}, "no test accuracy is above 1.*--scale"),
    "too large a label": ("d,valid\n1,1e30\n", {}, "'valid' ranges .* scale it to at most 1e.18"),
    "a loss": ("d,val_loss\n1,2\n", {"valid": ["val_loss"]}, "'val_loss' is named like .*--minim"),
    "empty feature": ("d,valid\n1,50\n,60\n", {}, "line 3, column 'd' is empty; every feature"),
    "NaN feature": ("d,valid\n1,50\n\nnan,60\n", {}, "line 4, column 'd' reads 'nan'"),
    "huge feature": ("d,valid\n1,50\n1e39,60\n", {}, "line 3, column 'd' .*too large"),
    "mixed": ("d,valid\n1,50\n2o,60\n", {}, "line 3, column 'd' reads '2o'.*--one_hot=d"),
    "no features": ("name,valid\na,50\n", {}, "no column is left"),
    "unknown": (PLAIN, {"features": ["dept"]}, "--features=dept: no such column .*depth, op"),
    "unknown extra": (PLAIN, {"extra": ["x"]}, "--extra=x: no such column"),
    "unknown valid": (PLAIN, {"valid": ["x"]}, "--valid=x: no such column"),
    "twice": (PLAIN, {"features": ["valid"]}, "'valid' is named by --valid and --features"),
    "stray choice": (PLAIN, {"features": ["op"], "one_hot": ["depth"]}, "not among the features"),
    "same names": ("name,d,valid\na,1,50\na,2,60\n", {}, "duplicate rows: 0 and 1 are both 'a'"),
    "same rows": ("d,valid\n1,50\n1,50\n", {}, "duplicate rows: 0 and 1.*--merge_repeats"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_text_is_named(case, write):
    text, options, message = BAD[case]
    with pytest.raises(TableError, match=message) as error:
        read_csv(write(text), **options)
    assert "mine.csv" in str(error.value)


def test_a_column_of_names_is_not_a_choice(write):
    lines = ["arch,valid", *(f"n{i},{50 + i / 100}" for i in range(300))]
    with pytest.raises(TableError, match=r"'arch' has 300 different texts.*--name=arch"):
        read_csv(write("\n".join(lines)))
    assert len(read_csv(write("\n".join([x + ",1" for x in lines])), name="arch").names) == 300


def test_other_encodings_and_places_are_named(write, tmp_path):
    with pytest.raises(TableError, match="not UTF-8"):
        read_csv(write("größe,valid\n1,50\n", "latin-1"))
    with pytest.raises(TableError, match=r"none\.csv: cannot be read"):
        read_csv(tmp_path / "none.csv")


percent = st.floats(0, 100, allow_nan=False)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


@FIXTURE
@given(st.data())
def test_a_written_table_comes_back(tmp_path, data):
    """Any names, numbers and choices, through the standard writer, to the last bit."""
    n = data.draw(st.integers(1, 8))
    column = lambda of, **k: data.draw(st.lists(of, min_size=n, max_size=n, **k))  # noqa: E731
    # Blanks around a cell are dropped, and letters keep a text from being a number.
    names = column(words.map(lambda w: ("n" + w + "n").strip()), unique=True)
    ops = column(words.map(lambda w: "o" + w + "-"))
    depth = column(st.floats(width=32, allow_nan=False, allow_infinity=False))
    runs = [[2.0, *column(percent)[1:]], column(st.none() | percent)]
    rows = zip(names, ops, map(repr, depth), runs[0], runs[1], strict=True)
    with open(tmp_path / "t.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["name", "op", "depth", "valid_1", "valid_2"], *rows])
    table = read_csv(tmp_path / "t.csv")
    choices = sorted(set(ops))
    assert table.names.tolist() == names
    assert table.encoding[:, -1].tolist() == depth
    assert [choices[i] for i in table.encoding[:, :-1].argmax(axis=1)] == ops
    assert table.encoding[:, :-1].sum(axis=1).tolist() == [1] * n
    assert table.valid[:, 0].tolist() == runs[0]
    np.testing.assert_array_equal(table.valid[:, 1], np.array(runs[1], dtype=float))


GOOD = b"depth,op,valid,test\n1,a,50.25,49\n2,b,60.5,59\n3,a,70.125,71\n"


@FIXTURE
@given(st.data())
def test_damaged_text_is_an_error_or_read_as_it_stands(tmp_path, data):
    raw, kind = bytearray(GOOD), data.draw(st.sampled_from(["flip", "cut", "noise", "insert"]))
    if kind == "flip":
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    elif kind == "insert":
        at = data.draw(st.integers(0, len(raw)))
        raw[at:at] = data.draw(st.binary(max_size=9))
    else:
        raw = data.draw(st.binary(max_size=200))
    (tmp_path / "t.csv").write_bytes(bytes(raw))
    try:
        table = read_csv(tmp_path / "t.csv")
    except TableError:
        return
    lines = [r for r in csv.reader(io.StringIO(bytes(raw).decode("utf-8-sig"), newline="")) if r]
    at = [cell.strip() for cell in lines[0]].index("valid")
    np.testing.assert_array_equal(
        table.valid[:, 0], [float(row[at].strip() or "nan") for row in lines[1:]]
    )


def test_arrays_of_other_names(tmp_path):
    x, acc = np.arange(12).reshape(3, 2, 2), np.array([0.5, np.nan, 0.75])
    np.savez(
        tmp_path / "a.npz", x=x, y=np.array([7, 8, 9]), acc=acc, again=np.array([[0.1, 0.2]] * 3),
        final=acc, who=np.array([b"a", b"b", b"c"]), cost=np.arange(3),
    )  # fmt: skip
    table = read_arrays(
        tmp_path / "a.npz",
        valid=["acc", "again"],
        test=["final"],
        encoding=["x", "y"],
        name="who",
        extra=["cost"],
        scale=100,
    )
    assert table.encoding.tolist() == [[0, 1, 2, 3, 7], [4, 5, 6, 7, 8], [8, 9, 10, 11, 9]]
    np.testing.assert_array_equal(table.valid, [[50, 10, 20], [np.nan, 10, 20], [75, 10, 20]])
    np.testing.assert_array_equal(table.test[:, 0], [50, np.nan, 75])
    assert table.names.tolist() == ["a", "b", "c"]
    assert table.extra["cost"].tolist() == [0, 1, 2]


ARRAYS = {"encoding": np.eye(3), "valid": np.array([50.0, 60, 70])}
BAD_ARRAYS = {
    "canonical": ({"format": "weaknas-table-1"}, {}, "a canonical table already"),
    "pickle": ({"valid": np.array([{}] * 3, dtype=object)}, {}, r"pickled .* never loaded"),
    "no labels": ({"valid": None}, {}, r"no column 'valid'.*--valid=.*there are encoding"),
    "no encoding": ({"encoding": None}, {}, "--encoding=encoding: no such column"),
    "short": ({"valid": np.ones(2)}, {}, r"field 'valid' has shape \(2,\)"),
    "number": ({"valid": np.float64(5)}, {}, r"field 'valid' has shape \(\)"),
    "one number": ({"encoding": np.float64(5)}, {}, r"'encoding' has \(\)"),
    "text": ({"valid": np.array(["a"] * 3)}, {}, "field 'valid' has dtype <U1"),
    "complex": ({"encoding": np.eye(3) * 1j}, {}, "field 'encoding' has dtype complex128"),
    "empty": ({"encoding": np.zeros((0, 3)), "valid": np.zeros(0)}, {}, "'encoding' has shape"),
    "fractions": ({"valid": np.array([0.5, 0.6, 0.7])}, {}, "--scale=100"),
    "too large": ({"encoding": np.full((3, 1), 1e39)}, {}, "'encoding' has .* infinite"),
    "short names": ({"names": np.array(["a"])}, {}, r"field 'names' has shape \(1,\)"),
    "table of names": ({"names": np.array([["a"]] * 3)}, {}, "'names' has shape"),
    "one array twice": ({}, {"extra": ["valid"]}, "'valid' is named by --valid and --extra"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_named(case, tmp_path):
    changes, options, message = BAD_ARRAYS[case]
    arrays = {k: v for k, v in {**ARRAYS, **changes}.items() if v is not None}
    np.savez(tmp_path / "a.npz", allow_pickle=True, **arrays)
    with pytest.raises(TableError, match=message) as error:
        read_arrays(tmp_path / "a.npz", **options)
    assert "a.npz" in str(error.value)


@FIXTURE
@given(st.data())
def test_arrays_of_any_kind_and_shape_are_read_or_named(tmp_path, data):
    kinds = st.sampled_from(["f8", "f2", "i4", "u1", "?", "U3", "S2", "c16", "M8[s]", "V3"])
    shapes = st.lists(st.integers(0, 3), max_size=3)
    names = ["valid", "test", "encoding", "names", "format"]
    arrays = {
        name: np.zeros(data.draw(shapes), data.draw(kinds))
        for name in data.draw(st.lists(st.sampled_from(names), unique=True))
    }
    np.savez(tmp_path / "a.npz", **arrays)
    try:
        table = read_arrays(tmp_path / "a.npz", scale=1.0)
    except TableError:
        return
    assert table.valid.shape[0] == len(table) == arrays["encoding"].shape[0]
