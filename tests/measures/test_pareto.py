"""Fronts: against their definition, and what of them runs found."""

import dataclasses
import json

import numpy as np
import pytest
from by_hand import RUNS, TABLE, trace
from hypothesis import given
from hypothesis import strategies as st

from weaknas_jax import HONEST
from weaknas_jax.measures import pareto
from weaknas_jax.report import plots, run_folder, text

COARSE = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.nan, np.inf, -np.inf])  # many ties
COST = np.array([5.0, 1.0, np.inf, 4.0, 2.0])


def beats(i, j, cost, score):
    """Whether i makes j superfluous; of equals the first."""
    no_worse = cost[i] <= cost[j] and score[i] >= score[j]
    return no_worse and (cost[i] < cost[j] or score[i] > score[j] or i < j)


@given(st.lists(st.tuples(COARSE, COARSE), max_size=12))
def test_a_front_is_what_no_other_beats(points):
    cost, score = np.array(points, np.float64).reshape(-1, 2).T
    known = [i for i in range(len(cost)) if not (np.isnan(cost[i]) or np.isnan(score[i]))]
    expected = [j for j in known if not any(beats(i, j, cost, score) for i in known if i != j)]
    found = pareto.front(cost, score)
    assert sorted(found.tolist()) == expected
    assert (np.diff(cost[found]) > 0).all() or len(found) < 2
    assert (np.diff(score[found]) > 0).all() or len(found) < 2


def test_what_three_runs_found():
    """valid 10 20 30 50 40; of the table's front 1, 4, 3 the runs evaluated two, two and one."""
    found = pareto.measure(RUNS, TABLE, "params", COST)
    assert found.best.tolist() == [1, 4, 3]
    assert found.found.tolist() == [1, 4, 3]
    assert found.runs.tolist() == [2, 2, 2, 1, 2]
    assert found.share == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)
    said = pareto.summary(found, TABLE)
    assert said["front"][2] == {
        "row": 3,
        "name": None,
        "cost": 4.0,
        "valid": 50.0,
        "test": 48.0,
        "runs": 1,
    }
    assert (said["cost"], said["table_front"]) == ("params", 3)
    assert said["cost_unknown"] == 1  # one is infinite
    assert "; 1 of unknown cost are skipped" in text._pareto(said)[0][1]


def test_a_failed_query_found_nothing():
    failed = trace([[0, 4, 3, 2]], [[4, 3]])
    failed.scores[0, 2] = np.nan
    found = pareto.measure(failed, TABLE, "params", COST)
    assert found.found.tolist() == [4]
    assert found.runs.tolist() == [1, 0, 1, 0, 1]


def test_rows_are_those_of_the_whole_table_and_what_is_missing_is_none():
    keep = np.array([False, True, True, True, True])
    smaller = dataclasses.replace(TABLE, names=np.array(list("abcde"))).where(keep)
    smaller.test[0] = np.nan
    found = pareto.measure(trace([[0, 3, -1, -1]], [[2, 2]]), smaller, "params", COST[keep])
    first, second = pareto.summary(found, smaller)["front"]
    assert (first["row"], first["name"], first["test"]) == (1, "b", None)
    assert (second["row"], second["name"], second["test"]) == (4, "e", 49.0)


def test_no_cost_is_known_where_there_is_a_label():
    blind = dataclasses.replace(TABLE, valid=np.where(TABLE.valid > 45, TABLE.valid, np.nan))
    found = pareto.measure(RUNS, blind, "params", np.where(TABLE.valid[:, 0] > 45, np.nan, COST))
    said = pareto.summary(found, blind)
    assert (said["front"], said["table_front"], said["share_of_table_front"]) == ([], 0, None)
    assert text._pareto(said)[0][1].startswith("0 evaluated")


def test_a_long_front_is_printed_at_its_dear_end():
    one = {"row": 7, "name": "x", "cost": 1.0, "valid": 2.0, "test": None, "runs": 1}
    front = [{**one, "cost": float(i)} for i in range(25)]
    said = {"cost": "c", "front": front, "table_front": 30, "share_of_table_front": 0.125}
    first, head, more, *rows = [value for _, value in text._pareto(said)]
    assert "a run evaluated 12 % of the 30" in first
    assert head.split() == ["cost", "valid", "test", "runs", "row", "name"]
    assert more == "... 15 cheaper ones, see summary.json"
    assert [row.split()[0] for row in rows] == [str(i) for i in range(15, 25)]
    assert rows[0].split() == ["15", "2.000", "-", "1", "7", "x"]


@pytest.mark.parametrize("cost", [COST, np.where(COST == 4, COST, np.nan)])
def test_the_picture_and_the_folder(cost, tmp_path):
    found = pareto.measure(RUNS, TABLE, "max(c, 1) * (op == '$a$')", cost)
    plots.draw_pareto(found, "hand / made", tmp_path / "front.svg")
    drawn = (tmp_path / "front.svg").read_text()
    assert drawn.startswith("<?xml")
    summary = text.summarize(RUNS, TABLE, HONEST, method="weaknas")
    paths = run_folder.save(tmp_path, RUNS, summary, found)
    assert str(tmp_path / "pareto.png") in paths
    assert (tmp_path / "pareto.png").read_bytes().startswith(b"\x89PNG")
    run_folder.begin(tmp_path, json.loads("{}"), anew=True)
    assert not (tmp_path / "pareto.png").exists()
