"""Pictures show what they are of: curves lie in the axes, legends beside them, ends are said."""

import copy

import numpy as np
import pytest
from by_hand import RUNS, TABLE
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from weaknas_jax import HONEST, categorical, integer, jobs
from weaknas_jax.core import protocol
from weaknas_jax.jobs import report as jobreport
from weaknas_jax.measures import pareto
from weaknas_jax.measures.summary import SummaryError
from weaknas_jax.report import canvas, plots, run_folder
from weaknas_jax.report import text as report
from weaknas_jax.spaces.choices import Choices

NAN = float("nan")


@pytest.fixture
def summary():
    return report.summarize(RUNS, TABLE, HONEST, method="weaknas", predictor="mlp")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Draws by the given function into a file and returns the figure, as that laid it out."""
    path = tmp_path_factory.mktemp("drawn") / "picture.svg"

    def draw(function, *arguments):
        figure = function(*arguments, path)
        figure.draw_without_rendering()  # at the resolution of a .png
        return figure

    return draw


def made(mean, ended=(), name="accuracy", dataset="cifar10", best=95.0, std=1.0):
    """A summary of runs whose reported mean is ``mean``, and which ended after so many queries."""
    mean = np.array(mean, np.float64)
    budget = len(mean)
    values = [None if np.isnan(m) else float(m) for m in mean]
    final = values[-1]
    return plots.Result(
        name,
        {
            "space": "space",
            "dataset": dataset,
            "percent": True,
            "minimize": False,
            "budget": budget,
            "queries_made": list(ended) or [budget],
            "final": {
                "test_mean": final,
                "regret": None if final is None else best - final,
                "report": "best_valid_test",
            },
            "curve": {
                "queries": list(range(1, budget + 1)),
                **{
                    key: {"mean": values, "std": [None if v is None else std for v in values]}
                    for key in ("best_valid_test", "best_valid")
                },
            },
            "queries_to_optimum": {
                "per_seed": [e if e < budget else None for e in ended or [budget]],
                "budget": budget,
                "mean": float(budget),
                "mean_is_lower_bound": True,
                "censored": 1,
            },
        },
    )


def covered(figure):
    """What a legend lies on, of the axes, of their numbers and names, and of other legends."""
    renderer = figure.canvas.get_renderer()
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    legends += list(figure.legends)
    assert legends
    boxes = [legend.get_window_extent(renderer) for legend in legends]
    whole = figure.bbox
    out = []
    for i, box in enumerate(boxes):
        if not (whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0):
            out.append(f"legend {i} leaves the figure")
        for axes in figure.axes:
            texts = [axes.title, axes.xaxis.label, axes.yaxis.label]
            texts += axes.get_xticklabels() + axes.get_yticklabels()
            parts = [("axes", axes.get_window_extent(renderer))]
            parts += [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_text()]
            out += [f"legend {i} on {name!r}" for name, part in parts if _overlap(box, part)]
        out += [f"legends {i}, {j}" for j in range(i) if _overlap(box, boxes[j])]
    return out


def _overlap(a, b):
    return min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1


def outside(axes, few=canvas.FEW):
    """The curves of ``axes`` that leave them after the first few queries, or the first quarter."""
    low, high = axes.get_ylim()
    few = min(few, int(axes.get_xlim()[1]) // 4)
    out = []
    for line in axes.get_lines():
        x, y = (np.asarray(values, float) for values in line.get_data())
        y = y[np.isfinite(y) & (x > few)]
        if len(y) and not (low <= y.min() and y.max() <= high):
            out.append(line.get_label())
    return out


rising = st.builds(
    lambda start, end, steps, n: np.maximum.accumulate(
        np.interp(np.arange(n), [0, *sorted(steps), n], [start, *([end] * (len(steps) + 1))])
    ),
    st.sampled_from([10.0, 60.0, 91.0]),
    st.floats(91.0, 94.0),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.integers(1, 120),
)


@pytest.mark.slow  # curves made by hand are below
@settings(max_examples=5, deadline=None, phases=[Phase.generate])  # shrinking takes minutes
@given(st.lists(st.tuples(rising, st.text("ab_$ %{}\\", max_size=70)), min_size=1, max_size=12),
       st.integers(1, 3), st.sampled_from([1.0, -1.0, 1e-4, 1e6]), st.data())  # fmt: skip
def test_every_curve_is_seen_and_no_legend_covers_it(drawn, curves, panels, scale, data):
    results = []
    for i, (mean, name) in enumerate(curves):
        ended = data.draw(st.lists(st.integers(1, len(mean)), min_size=1, max_size=4))
        of = {"dataset": f"d{i % panels}", "best": 95 * scale, "std": abs(scale)}
        results.append(made(mean * scale, ended, name, **of))
    figure = drawn(plots.draw, results)
    assert covered(figure) == []
    for axes in figure.axes[::2]:
        assert outside(axes) == []
    for i in range(min(panels, len(curves))):
        end = max(max(r.summary["queries_made"]) for r in results[i::panels])
        left, right = figure.axes[2 * i : 2 * i + 2]
        for axes in (left, right):
            assert end <= axes.get_xlim()[1] <= end + max(1, 0.05 * end)
            assert all(max(line.get_xdata(), default=1) <= end for line in axes.get_lines())
        labels = [text.get_text() for text in left.get_legend().get_texts()]
        drawn_curves = len(results[i::panels])
        assert len(labels) == drawn_curves + 1  # and the best of the table
        colors = {tuple(np.ravel(line.get_color())) for line in right.get_lines()}
        assert len(colors) == drawn_curves


@pytest.mark.parametrize("mean", [[90.0], [90.0] * 30, [NAN] * 8, [NAN] * 8 + [90.0], [NAN, 0.0]])
def test_few_or_equal_or_unknown_values(drawn, mean):
    figure = drawn(plots.draw, [made(mean)])
    assert covered(figure) == []
    left = figure.axes[0]
    assert outside(left) == []
    if np.isfinite(mean).sum() == 1:  # a line of one point cannot be seen
        assert left.get_lines()[0].get_marker() == "o"


def test_a_bad_beginning_does_not_flatten_the_rest(drawn):
    mean = [10.0, 10.0, 10.0, 90.0, *np.linspace(91, 92, 26)]
    low, high = drawn(plots.draw, [made(mean, best=92.5)]).axes[0].get_ylim()
    assert 90 < low < 91.2
    assert 92.5 < high < 93


def test_how_many_runs_ended_and_when_is_said(drawn):
    early = made([80.0] * 5 + [90.0] * 95, [20, 100, 60], "gp")
    later = made([80.0] * 5 + [91.0] * 95, [30, 35], "mlp")
    figure = drawn(plots.draw, [later, early])
    left = figure.axes[0]
    said = [" ".join(text.get_text().split()) for text in left.get_legend().get_texts()]
    assert "2 of 2 runs ended after 30 to 35 queries, last values carried on" in said[0]
    assert "2 of 3 runs ended after 20 to 60 queries, last values carried on" in said[1]
    assert "dashed: all runs of the curve have ended" in left.get_xlabel()
    solid, dashed = left.get_lines()[:2]
    assert (solid.get_xdata()[-1], dashed.get_linestyle()) == (35, "--")
    assert (dashed.get_xdata()[0], dashed.get_xdata()[-1]) == (35, 100)
    alone = drawn(plots.draw, [later]).axes[0]
    assert alone.get_xlim()[1] < 37
    assert alone.get_xlabel() == "queries"


def test_summaries_that_do_not_say_when_runs_ended_are_drawn_to_the_budget(drawn):
    old = made([90.0] * 40, [10])
    del old.summary["queries_made"]
    axes = drawn(plots.draw, [old]).axes[0]
    assert max(axes.get_lines()[0].get_xdata()) == 40


def test_when_runs_ended_is_in_the_summary(summary):
    assert summary["queries_made"] == [4, 4, 1]


JOBS = Choices({"a": integer(0, 50), "op": categorical("x", "y")}, cost="a + 1")


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("cost", [True, False])
def test_the_picture_of_jobs(drawn, sign, cost):
    space = JOBS if cost else Choices(JOBS.choices)
    scores = [0.1, None, 1e9 * -sign, *np.linspace(0.9, 0.99, 40)]
    done = [
        jobs.Evaluation({"a": i, "op": "x"}, None if s is None else sign * s)
        for i, s in enumerate(scores)
    ]
    result = jobs.Result(done[-1], done, complete=True, torn=False, resumed=0, busy=1.0)
    findings = jobreport.gather(result, space, sign)
    summary = jobreport.summarize(findings)
    figure = drawn(lambda path: jobreport.draw(path, findings, summary))
    assert covered(figure) == []
    left = figure.axes[0]
    low, high = left.get_ylim()
    if sign > 0:
        assert 0 <= low <= 0.95 <= 0.99 <= high < 2
    said = " ".join(left.get_legend().get_texts()[0].get_text().split())
    hidden = 2 if sign > 0 else 1  # of losses, 0.1 is the best
    assert said == f"each query ({hidden} lie outside of the picture)"


def test_the_pictures_of_fronts_and_of_the_paper(drawn, summary):
    cost = np.arange(5.0) * 1e5
    found = pareto.measure(RUNS, TABLE, "log(a) + $b", cost)
    assert covered(drawn(plots.draw_pareto, found, "hand / $made$")) == []
    results = [plots.Result(f"method {i}", summary) for i in range(5)]
    printed = [(100, 93.0, "one"), (150, 94.0, "two")]
    assert covered(drawn(plots.draw_beside, results, printed, "Table")) == []


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_one_or_several(summary, tmp_path, ending):
    other = report.summarize(RUNS, TABLE, protocol.PAPER, method="weaknas", predictor="mlp")
    begins = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[ending]
    for results in ([summary], [summary, other]):
        path = tmp_path / f"curve.{ending}"
        figure = plots.draw([plots.Result(f"run {i}", s) for i, s in enumerate(results)], path)
        assert path.read_bytes().startswith(begins)
        accuracies, optimum = figure.axes
        assert accuracies.get_xlabel() == optimum.get_xlabel() == "queries"
        assert optimum.get_ylabel() == "share of runs that met the optimum"
        names = " ".join(text.get_text() for text in accuracies.get_legend().get_texts())
        assert [f"run {i}" in names for i in range(2)] == [True, len(results) == 2]
        mean = results[0]["curve"]["best_valid_test"]["mean"]
        drawn = accuracies.get_lines()[0].get_ydata().tolist()
        assert drawn == mean[: len(drawn)]


def test_without_test_accuracy(summary, tmp_path):
    blind = copy.deepcopy(summary)
    for curve in ("oracle_test", "best_valid_test", "predicted_best_test"):
        blind["curve"][curve] = {"mean": [None] * 4, "std": [None] * 4}
    axes = plots.draw([plots.Result("a", blind)], tmp_path / "curve.png").axes[0]
    assert not np.isfinite(axes.get_lines()[0].get_ydata().astype(float)).any()


def test_unreadable_folders_are_named(tmp_path):
    with pytest.raises(run_folder.FolderError, match=r"no summary\.json"):
        run_folder.load_summary(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(SummaryError, match=r"not the summary\.json of a search"):
        run_folder.load_summary(tmp_path)
    (tmp_path / "summary.json").write_text("[1]")
    with pytest.raises(SummaryError, match=r"not the summary\.json of a search"):
        run_folder.load_summary(tmp_path)


def test_trace_survives_the_folder(tmp_path, summary):
    summary |= {"method": "weaknas"}
    run_folder.save(tmp_path, RUNS, summary)
    back = run_folder.load_trace(tmp_path)
    for field in RUNS._fields:
        np.testing.assert_array_equal(getattr(back, field), getattr(RUNS, field))
