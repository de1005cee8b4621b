"""Canonical tables: what is written comes back, and nothing bad gets in."""

import dataclasses
import io
import zipfile

import chex
import numpy as np
import pytest
from conftest import planted_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaknas_jax import TableError, load_table, save_table
from weaknas_jax.storage.npz import content_sha256


def test_round_trip(tmp_path):
    table = dataclasses.replace(
        planted_table(runs=3, noise=1.0),
        version="v9",
        extra={"params": np.arange(64)},
        source="here",
        licence="MIT",
    )
    table.valid[3, 1] = np.nan
    save_table(tmp_path / "t.npz", table)
    back = load_table(tmp_path / "t.npz")
    for field in dataclasses.fields(table):
        old, new = getattr(table, field.name), getattr(back, field.name)
        if field.name == "extra":
            np.testing.assert_array_equal(old["params"], new["params"])
        elif field.name == "graphs":
            chex.assert_trees_all_equal(old, new)
        else:
            np.testing.assert_array_equal(old, new)


def test_equal_content_equal_bytes(tmp_path):
    for name in "ab":
        save_table(tmp_path / name, planted_table())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_plain_savez_of_the_required_fields_is_enough(tmp_path):
    t = planted_table()
    np.savez(
        tmp_path / "mine.npz", format="weaknas-table-1", encoding=t.encoding, valid=t.valid[:, 0]
    )
    table = load_table(tmp_path / "mine.npz")
    assert (table.space, table.dataset, table.test) == ("table", "mine", None)
    with pytest.raises(TableError, match="target=valid"):
        table.test_mean  # noqa: B018


def fields(**changes):
    t = planted_table()
    arrays = {"format": "weaknas-table-1", "encoding": t.encoding, "valid": t.valid, "test": t.test}
    arrays |= {"names": t.names} | changes
    return {k: v for k, v in arrays.items() if v is not None}


TABLE = planted_table()
DOUBLE = np.r_[:63, 5]
BAD_FIELDS = {
    "format": ({"format": "other"}, "field 'format' is 'other'"),
    "no format": ({"format": None}, "field 'format'"),
    "no encoding": ({"encoding": None}, "field 'encoding' is missing"),
    "no labels": ({"valid": None}, "field 'valid' is missing"),
    "flat encoding": ({"encoding": np.zeros(64)}, r"'encoding' has shape \(64,\)"),
    "no features": ({"encoding": np.zeros((64, 0))}, r"'encoding' has shape \(64, 0\)"),
    "NaN feature": ({"encoding": np.full((64, 2), np.nan)}, "'encoding' has a NaN .* row 0"),
    "text feature": ({"encoding": np.full((64, 2), "a")}, "'encoding' has dtype"),
    "short labels": ({"valid": TABLE.valid[:9]}, r"'valid' has shape \(9, 1\)"),
    "short test": ({"test": TABLE.test[:9]}, r"'test' has shape \(9, 1\)"),
    "no finite label": ({"valid": np.full(64, np.nan)}, "'valid' has no finite label"),
    "infinite label": ({"valid": np.full(64, np.inf)}, "'valid' has an infinite value in row 0"),
    "not percent": ({"valid": np.full(64, 4e3), "unit": "%"}, "'valid' ranges .* percent"),
    "too large": ({"valid": np.full(64, 1e19)}, "'valid' ranges .* scale it to at most"),
    "unit": ({"unit": "furlong"}, "'unit' is 'furlong'; expected"),
    "direction": ({"minimize": "no"}, "field 'minimize' is .*expected True or False"),
    "text labels": ({"valid": np.full(64, "x")}, "'valid' has dtype"),
    "short names": ({"names": TABLE.names[:5]}, "'names' has shape"),
    "same names": ({"names": TABLE.names[DOUBLE]}, "'names' has duplicate rows: 5 and 63"),
    "short column": ({"extra_cost": np.zeros(3)}, "'extra_cost' has shape"),
    "same rows": (
        {
            "names": None,
            "encoding": TABLE.encoding[DOUBLE],
            "valid": TABLE.valid[DOUBLE],
            "test": TABLE.test[DOUBLE],
        },
        "'encoding' has duplicate rows: 5 and 63",
    ),
    "pickle": ({"extra_x": np.array([{}] * 64, dtype=object)}, "pickled .* never loaded"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_bad_fields_are_named(case, tmp_path):
    changes, message = BAD_FIELDS[case]
    np.savez(tmp_path / "t.npz", allow_pickle=True, **fields(**changes))
    with pytest.raises(TableError, match=message) as error:
        load_table(tmp_path / "t.npz")
    assert "t.npz" in str(error.value)


def write_bad(path, kind):
    good = io.BytesIO()
    arrays = fields()
    np.savez(good, sha256=content_sha256({k: np.asarray(v) for k, v in arrays.items()}), **arrays)
    raw = good.getvalue()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif kind == "text":
        path.write_text("accuracy,1,2,3\n")
    elif kind == "npy":
        np.save(path.open("wb"), np.zeros(3))
    elif kind == "pickle":
        path.write_bytes(b"\x80\x04K\x01.")
    elif kind == "folder":
        path.mkdir()
    elif kind == "zip without arrays":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    elif kind == "altered":
        arrays["valid"] = arrays["valid"] + 1
        with np.load(io.BytesIO(raw)) as old:
            np.savez(path, sha256=old["sha256"], **arrays)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("empty", "the file is empty"),
        ("truncated", "cannot be read, or is truncated or corrupted"),
        ("text", "a CSV, not a canonical table; .* table import .*t.npz"),
        ("npy", "single array"),
        ("pickle", "a .pth .*not a canonical table"),
        ("folder", "a folder"),
        ("zip without arrays", "a zip archive that holds 'readme.txt', no .npz"),
        ("altered", "checksum mismatch"),
    ],
)
def test_bad_files_are_named(kind, message, tmp_path):
    path = tmp_path / "t.npz"
    write_bad(path, kind)
    with pytest.raises(TableError, match=message) as error:
        load_table(path)
    assert "t.npz" in str(error.value)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damage_is_an_error_or_changes_nothing(tmp_path, data):
    """Random bytes, truncations and flipped bits: a TableError, or the very same table."""
    path = tmp_path / "t.npz"
    save_table(path, TABLE, overwrite=True)  # what the example before damaged
    raw = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "noise"]))
    if kind == "flip":
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw = data.draw(st.binary(max_size=200))
    path.write_bytes(bytes(raw))
    try:
        back = load_table(path)
    except TableError:
        return
    np.testing.assert_array_equal(back.valid, TABLE.valid)
    np.testing.assert_array_equal(back.encoding, TABLE.encoding)


def test_saving_checks_first(tmp_path):
    with pytest.raises(TableError, match="'valid'"):
        save_table(tmp_path / "t.npz", dataclasses.replace(TABLE, valid=TABLE.valid[:3]))
    assert list(tmp_path.iterdir()) == []


def test_some_of_the_rows():
    table = dataclasses.replace(
        planted_table(runs=2, noise=1.0), extra={"cost": np.arange(64) / 2}, licence="MIT"
    )
    keep = np.arange(64) % 3 == 1
    some = table.where(keep)
    assert len(some) == 21
    for name in ("encoding", "valid", "test", "names"):
        np.testing.assert_array_equal(getattr(some, name), getattr(table, name)[keep])
    assert some.extra["cost"].tolist() == (np.arange(64)[keep] / 2).tolist()
    assert some.rows.tolist() == some.extra["row"].tolist() == np.arange(64)[keep].tolist()
    assert (some.space, some.dataset, some.licence) == ("planted", "sum", "MIT")
    assert "row" not in table.extra
    assert table.rows.tolist() == list(range(64))

    fewer = some.where(some.test_mean > 60)
    assert 0 < len(fewer) < 21
    np.testing.assert_array_equal(fewer.valid, table.valid[fewer.rows])

    bare = dataclasses.replace(table, test=None, names=None, extra={"row": np.full(64, "text")})
    bare = bare.where(keep)
    assert (bare.test, bare.names) == (None, None)
    assert bare.rows.tolist() == list(range(21))  # its column is no number of a row


@pytest.mark.parametrize("mask", [np.ones(63, bool), np.ones(64), np.arange(5), True])
def test_a_mask_marks_each_row(mask):
    with pytest.raises(TableError, match=r"planted/sum: the mask is .*; expected bool \[64\]"):
        TABLE.where(mask)
