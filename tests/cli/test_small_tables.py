"""Tables of a few rows by default flags, and constraints on the columns of an imported table."""

import json
import re

import numpy as np
import pytest
from absl import flags
from helpers import call

from weaknas_jax import save_table
from weaknas_jax.cli import search as nasbench
from weaknas_jax.cli.configure import configure
from weaknas_jax.cli.flags import NAMES
from weaknas_jax.tables import read_arrays, read_csv

FLAGS = flags.FLAGS


def configured(**values):
    return configure({name: FLAGS[name].default for name in NAMES} | values)


@pytest.fixture
def table(tmp_path):
    """Makes a table of so many rows; flops are unknown of every fifth."""

    def made(rows):
        lines = [
            f"n{i},{i % 4 + 1},{'abc'[i % 3]},{i % 7},{50 + i / 9},{'' if i % 5 == 0 else i * 100}"
            for i in range(rows)
        ]
        head = "name,number of layers,op,width,valid,flops"
        (tmp_path / "t.csv").write_text("\n".join([head, *lines]))
        save_table(tmp_path / "t.npz", read_csv(tmp_path / "t.csv", extra=["flops"]))
        return str(tmp_path / "t.npz")

    return made


@pytest.mark.parametrize("rows", [1, 2, 5, 9, 30, 150])
@pytest.mark.parametrize("predictor", ["gp", "mlp", "linear"])
def test_defaults_fit_any_table(rows, predictor, table):
    search = configured(table=table(rows), predictor=predictor)
    usual = {"gp": (1, 400), "mlp": (10, 200), "linear": (10, 200)}[predictor]
    assert search.record["budget"] == min(usual[1], rows)
    assert search.record["init"] == min(usual[0], rows)
    assert f"--budget={rows}: lowered from the default of {usual[1]}" in " ".join(search.notes)


def test_a_search_of_a_small_table_by_default(table, tmp_path, capsys):
    line = [f"--table={table(5)}", "--seeds=1", "--predictor=linear", f"--out={tmp_path / 'out'}"]
    assert call(nasbench, *line) == 0
    assert "note: --budget=5: lowered from the default of 200" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["budget"] == 5


def test_what_is_asked_for_is_not_lowered(table):
    path = table(30)
    with pytest.raises(ValueError, match="--budget=31 is more than the 30 architectures"):
        configured(table=path, budget=31)
    with pytest.raises(ValueError, match="--budget=30 is less than --init=31"):
        configured(table=path, init=31)
    search = configured(table=path, constraint="width < 3", predictor="linear")
    assert search.record["budget"] == len(search.table) == 14
    large = configured(dataset="cifar10")
    assert (large.record["budget"], large.notes) == (400, ())


def test_every_column_but_labels_can_be_named(table):
    path = table(30)
    for text, rows in {
        "`number of layers` <= 2": [i for i in range(30) if i % 4 < 2],
        "op in ('a', 'b') and width != 3": [i for i in range(30) if i % 3 < 2 and i % 7 != 3],
        "name != 'n3' and flops > 500": [i for i in range(6, 30) if i % 5],
        "flops is None": list(range(0, 30, 5)),
        "row < 7": list(range(7)),
    }.items():
        search = configured(table=path, constraint=text, init=1, cost="width / `number of layers`")
        assert search.table.rows.tolist() == rows, text
        number = np.array(rows) % 4 + 1
        np.testing.assert_array_equal(search.cost, np.array(rows) % 7 / number)


def test_what_a_constraint_drops_for_want_of_a_value_is_said(table):
    path = table(30)
    (note,) = (
        n for n in configured(table=path, constraint="flops < 2000").notes if "constraint" in n
    )
    assert "6 of 30 are dropped because 'flops' has no value there" in note
    keeping = configured(table=path, constraint="flops is None or flops < 2000")
    assert not [n for n in keeping.notes if "constraint" in n]
    assert len(keeping.table) == len(configured(table=path, constraint="flops < 2000").table) + 6


BAD = {
    "a label": ("valid > 3", "there is no 'valid'.*labels are none: a search may not know them"),
    "a slip": (
        "widht < 3",
        "did you mean 'width'.*name, `number of layers`, op, row, w",
    ),
    "unknown": ("params < 3", "another column of your file: import it again with --extra=COL"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_name_that_is_none_says_which_there_are(case, table, tmp_path, capsys):
    text, message = BAD[case]
    line = [f"--table={table(30)}", f"--out={tmp_path / 'out'}"]
    for flag in ("constraint", "cost"):
        assert call(nasbench, *line, f"--{flag}={text}") == 2
        error = capsys.readouterr().err
        assert re.search(message, error), error
        assert error.count("\n") == 1


def test_columns_of_arrays_have_names(tmp_path):
    np.savez(
        tmp_path / "a.npz", codes=np.arange(12).reshape(6, 2), lr=np.arange(6) / 8, valid=np.ones(6)
    )
    table = read_arrays(tmp_path / "a.npz", encoding=["codes", "lr"], scale=50)
    save_table(tmp_path / "b.npz", table)
    text = "codes_0 < 9 and codes_1 > 2 and lr < 0.5"
    search = configured(table=str(tmp_path / "b.npz"), constraint=text)
    assert search.table.rows.tolist() == [1, 2, 3]
