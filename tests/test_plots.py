"""Pictures are drawn from summaries alone, one or several, complete or censored."""

import copy

import numpy as np
import pytest
from test_metrics import RUNS, TABLE

from weaknas_jax import HONEST, plots, protocol, report, runfolder


@pytest.fixture
def summary():
    return report.summarize(RUNS, TABLE, HONEST, method="weaknas", predictor="mlp")


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_one_or_several(summary, tmp_path, ending):
    other = report.summarize(RUNS, TABLE, protocol.PAPER, method="weaknas", predictor="mlp")
    for results in ([summary], [summary, other]):
        path = tmp_path / f"curve.{ending}"
        plots.draw([plots.Result("a", s) for s in results], path)
        assert path.stat().st_size > 5000


def test_without_test_accuracy(summary, tmp_path):
    blind = copy.deepcopy(summary)
    for curve in ("oracle_test", "best_valid_test", "predicted_best_test"):
        blind["curve"][curve] = {"mean": [None] * 4, "std": [None] * 4}
    plots.draw([plots.Result("a", blind)], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").exists()


def test_unreadable_folders_are_named(tmp_path):
    with pytest.raises(runfolder.FolderError, match=r"no summary\.json"):
        runfolder.load_summary(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(runfolder.FolderError, match="not the summary"):
        runfolder.load_summary(tmp_path)
    (tmp_path / "summary.json").write_text("[1]")
    with pytest.raises(runfolder.FolderError, match="not the summary"):
        runfolder.load_summary(tmp_path)


def test_trace_survives_the_folder(tmp_path, summary):
    summary |= {"method": "weaknas"}
    runfolder.save(tmp_path, RUNS, summary)
    back = runfolder.load_trace(tmp_path)
    for field in RUNS._fields:
        np.testing.assert_array_equal(getattr(back, field), getattr(RUNS, field))
