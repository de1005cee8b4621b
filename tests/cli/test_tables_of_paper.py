"""The paper's tables by command, on a small table in place of NAS-Bench-101."""

import csv

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import planted_table

from weaknas_jax import save_table
from weaknas_jax.cli.configure import configure
from weaknas_jax.cli.flags import values
from weaknas_jax.cli.paper import printed as paper
from weaknas_jax.cli.paper import rows, tables
from weaknas_jax.core.called import this_line
from weaknas_jax.measures import metrics
from weaknas_jax.report import run_folder

FLAGS = flags.FLAGS
OWN = {"init": 6, "per_round": 3, "top": 9, "acquisition": "mean", "sampling": "uniform"}


@pytest.fixture
def out(tmp_path, monkeypatch):
    save_table(tmp_path / "planted.npz", planted_table(noise=0.3, runs=3))
    here = {"space": "table", "table": str(tmp_path / "planted.npz")}
    searches = {"weak": OWN | {"budget": 30}, "bayesian": OWN | {"acquisition": "ei", "budget": 18}}
    rows = (
        paper.Row("weak ones", 30, "weak", paper.Printed(50.0, 0.1, 0.2, 3.0)),
        paper.Row("weak ones", 12, "weak"),
        paper.Row("somebody's", 12, None, paper.Printed(40.0)),
        paper.Row("improvement", 18, "bayesian"),
    )
    monkeypatch.setattr(paper, "SEARCHES", {k: v | here for k, v in searches.items()})
    monkeypatch.setattr(paper, "TABLES", {"1": paper.Table("Small", rows, "A note.")})
    return tmp_path / "out"


def call(out, *arguments):
    with flagsaver.flagsaver():
        FLAGS.unparse_flags()
        FLAGS(["tables", "--table=1", f"--out={out}", "--seeds=2", *arguments])
        return tables.main(["tables"])


def read(path):
    with open(path, newline="") as lines:
        return list(csv.DictReader(lines))


def test_rows_are_what_the_searches_did_and_the_line_goes_on(out, capsys):
    assert call(out, "--predictor=linear") == 0
    rows = read(out / "table1-linear.csv")
    assert [r["row"] for r in rows] == ["weak ones", "weak ones", "somebody's", "improvement"]
    table = planted_table(noise=0.3, runs=3)
    trace = run_folder.load_trace(out / "weak-linear-30")
    assert trace.queried.shape == (2, 30)
    for row in rows[:2]:
        told = trace.scores[:, : int(row["queries"])]
        best = np.take_along_axis(trace.queried, told.argmax(axis=1)[:, None], axis=1)[:, 0]
        accuracy = table.test_mean[best]
        assert float(row["test"]) == pytest.approx(accuracy.mean(), abs=1e-3)
        assert float(row["sd"]) == pytest.approx(np.std(accuracy, ddof=1), abs=1e-3)
        rank = metrics.rank_of(table.test_mean, accuracy).mean()
        assert float(row["mean rank"]) == pytest.approx(rank, abs=0.05)
    assert (rows[0]["paper test"], rows[2]["paper test"], rows[2]["test"]) == ("50.00", "40.00", "")
    printed = capsys.readouterr().out
    assert (out / "table1-linear.md").read_text() in printed
    assert "A note." in printed
    assert (out / "table1-linear.png").read_bytes().startswith(b"\x89PNG")

    # The same line goes on and adds runs, one of other settings does not.
    before = trace
    assert call(out, "--predictor=linear", "--seeds=3") == 0
    after = run_folder.load_trace(out / "weak-linear-30")
    assert after.run.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(after.queried[:2], before.queried)
    assert call(out, "--predictor=linear", "--seed=5") == 2
    assert "was started with other settings: --seed was 0, is 5" in capsys.readouterr().err


@pytest.mark.slow  # rows within a budget are below
def test_what_is_read_earlier_and_what_is_absent(out, capsys):
    assert call(out, "--predictor=knn", "--budget=20") == 0
    rows = read(out / "table1-knn.csv")
    assert [(r["row"], r["queries"], r["paper queries"]) for r in rows] == [
        ("weak ones", "20", "30"),
        ("weak ones", "12", ""),
        ("somebody's", "12", "12"),
    ]
    assert "Absent: improvement" in capsys.readouterr().out
    assert (out / "weak-knn-20").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table=7"], "--table=7: choose from 1, 2, 3, 4, m0, 5"),
        (["--init=5"], "--init: the rows of the table set this"),
        (["--budget=3"], "--budget=3: too few queries for every row of the table"),
    ],
)
def test_what_cannot_be_is_said(out, capsys, arguments, message):
    assert call(out, "--predictor=linear", *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("number", list(paper.TABLES))
def test_every_table_has_rows_within_200_queries(number):
    rows = tables._rows(paper.TABLES[number], 200)
    assert rows
    assert len({(row.name, at) for row, at in rows}) == len(rows)
    assert all(at <= 200 for _, at in rows)
    assert [row for row, _ in tables._rows(paper.TABLES[number], None)] == list(
        paper.TABLES[number].rows
    )


@pytest.mark.slow  # their rows are read above, small ones are searched
@pytest.mark.parametrize("number", list(paper.TABLES))
def test_the_searches_of_every_table_can_be_configured(number):
    """And each row is read within its search."""
    with flagsaver.flagsaver():
        FLAGS.unparse_flags()
        FLAGS(["tables"])
        given = values() | {"seeds": 1, "space": "nasbench101", "table": None}
        for row in paper.TABLES[number].rows:
            assert row.search or row.printed
            if row.search:
                search = paper.SEARCHES[row.search]
                assert row.queries <= search["budget"]
                found = configure(given | search)
                assert found.build(**found.point).budget == search["budget"]
                assert found.protocol.labels == "test"


@pytest.fixture
def optimum_out(out, monkeypatch):
    """Table 5 of three methods on the small table."""
    small = {"init": 3, "per_round": 3, "budget": 30}
    walks = {
        "weak": paper.Table5Row("weak ones", OWN | {"budget": 30}, 3, (500.0, 5.0, 5.0)),
        "evolution": paper.Table5Row("evolution", small | {"method": "evolution"}, 2),
        "pseudo": paper.Table5Row("pseudo", OWN | {"budget": 30, "pseudo_labels": 4}, 2),
    }
    here = {"space": "table", "table": str(out.parent / "planted.npz")}

    def search(name, folder, given, own):
        return real(name, folder, given, own | here | {"dataset": None})

    real = rows.search
    monkeypatch.setattr(rows, "search", search)
    monkeypatch.setattr(paper, "OPTIMUM", walks)
    monkeypatch.setattr(paper, "DATASETS", ("cifar10",))
    return out


@pytest.mark.slow  # rows of other tables are above
@pytest.mark.long
def test_table_5_compares_the_runs_of_the_same_seeds(optimum_out, capsys, monkeypatch):
    def called(out, *arguments):
        with flagsaver.flagsaver():
            FLAGS.unparse_flags()
            FLAGS(["tables", "--table=5", f"--out={out}", *arguments])
            return tables.main(["tables"])

    assert called(optimum_out, "--predictor=linear") == 0
    lines = read(optimum_out / "table5-linear.csv")
    assert [line["method"] for line in lines] == ["weak ones", "evolution", "pseudo"]
    assert [line["runs"] for line in lines] == ["3", "2", "2"]
    best = planted_table(noise=0.3, runs=3).test_mean.argmax()
    met = {}
    for key in ("weak-linear", "evolution"):
        queried = run_folder.load_trace(optimum_out / f"cifar10-{key}-30").queried
        hit = queried == best
        met[key] = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 30)
    difference = (met["evolution"] - met["weak-linear"][:2]).mean()
    cell = lines[1]["minus the first row [95 %]"]
    assert cell.startswith(f"{difference:+.1f} [")
    assert lines[0]["queries to optimum"].removeprefix(">= ") == f"{met['weak-linear'].mean():.1f}"
    assert lines[0]["minus the first row [95 %]"] == ""
    assert (optimum_out / "table5-linear.png").read_bytes().startswith(b"\x89PNG")
    assert f"`{this_line()}`\n" in (optimum_out / "table5-linear.md").read_text()

    monkeypatch.setitem(paper.OPTIMUM, "weak", paper.Table5Row("weak ones", {"budget": 5}, 2))
    other = f"{optimum_out}-gp"
    assert called(other, "--predictor=gp", "--budget=5") == 0
    assert "Absent with this predictor: pseudo." in capsys.readouterr().out
