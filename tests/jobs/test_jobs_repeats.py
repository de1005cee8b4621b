"""The best are evaluated once more at the end, where that is wanted."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from weaknas_jax.jobs import repeat_number, report, search
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, integer
from weaknas_jax.storage import journal

SPACE = Choices({"depth": integer(1, 6), "width": integer(1, 6)}, cost="depth")
METHOD = methods.make(method="random", budget=20, init=5, per_round=5)
LOCK = threading.Lock()


def noisy(arch):
    """As good as it is deep, and luck, which a repeat has not."""
    rng = np.random.default_rng([arch["depth"], arch["width"], repeat_number()])
    return arch["depth"] + 3 * float(rng.random())


def run(evaluate=noisy, path=None, *, workers=3, **more):
    with ThreadPoolExecutor(workers) as threads:
        return search(METHOD, evaluate, SPACE, executor=threads, journal=path, **more)


def told(result):
    return [(e.arch, e.score) for e in result.evaluations], result.best, result.repeats


def without_seconds(result):
    return [(r.first.arch, r.scores, r.mean, r.error) for r in result.repeats]


@pytest.mark.parametrize("mode", ["rounds", "async"])
def test_the_answer_is_the_best_mean_of_the_best(mode):
    plain, result = run(mode=mode, workers=1), run(mode=mode, workers=1, repeat_top=4)
    assert [e.arch for e in result.evaluations] == [e.arch for e in plain.evaluations]
    assert plain.repeats == ()
    best = sorted(plain.evaluations, key=lambda e: -e.score)[:4]
    assert {json.dumps(r.first.arch) for r in result.repeats} == {json.dumps(e.arch) for e in best}
    for r in result.repeats:
        assert r.scores == (r.first.score, r.repeat.score)
        assert r.first.score != r.repeat.score
        assert r.mean == pytest.approx(sum(r.scores) / 2)
        assert r.error == pytest.approx(abs(r.scores[0] - r.scores[1]) / 2)
    means = [r.mean for r in result.repeats]
    assert means == sorted(means, reverse=True)
    assert result.best == result.repeats[0].first
    assert result.complete


def test_repeats_do_not_depend_on_the_speed_of_workers():
    assert without_seconds(run(repeat_top=5)) == without_seconds(run(repeat_top=5, workers=1))


@pytest.mark.parametrize("mode", ["rounds", "async"])
def test_stopped_and_gone_on_with_each_repeat_is_made_once(mode, tmp_path):
    calls, path = [], tmp_path / "journal"

    def counted(arch):
        with LOCK:
            calls.append((str(arch), repeat_number()))
        return noisy(arch)

    for upto in (3, 8, 21, 22, 24, 99):
        result = run(
            counted,
            path,
            workers=1,
            mode=mode,
            repeat_top=4,
            stop=lambda upto=upto: len(calls) >= upto,
        )
        assert result.complete == (upto >= 24)
    assert len(calls) == len(set(calls)) == 24
    assert without_seconds(result) == without_seconds(run(workers=1, mode=mode, repeat_top=4))


def test_repeats_are_added_and_raised_on_a_finished_search(tmp_path):
    path, calls = tmp_path / "journal", []

    def counted(arch):
        calls.append(repeat_number())
        return noisy(arch)

    run(counted, path, workers=1)
    assert calls == [0] * 20
    run(counted, path, workers=1, repeat_top=2)
    assert calls[20:] == [1, 1]
    more = run(counted, path, workers=1, repeat_top=5)
    assert calls[22:] == [1, 1, 1]
    assert more.resumed == 20
    assert without_seconds(more) == without_seconds(run(repeat_top=5))
    fewer = run(counted, path, workers=1)  # what is known is not forgotten
    assert without_seconds(fewer) == without_seconds(more)
    assert len(calls) == 25
    kinds = [record["kind"] for record in journal.read(path)]
    assert kinds.count("repeat") == 5


def test_a_repeat_that_fails_is_tried_again_and_no_mean(tmp_path):
    best = run().best.arch
    calls = []

    def failing(arch):
        if repeat_number():
            calls.append(str(arch))
            if arch == best:
                raise ValueError("no")
        return noisy(arch)

    result = run(failing, tmp_path / "journal", repeat_top=3, retries=2)
    assert calls.count(str(best)) == 3
    (failed,) = (r for r in result.repeats if r.error is None)
    assert failed.first.arch == best
    assert (failed.scores, failed.repeat.attempts) == ((failed.first.score,), 3)
    assert result.best.arch != best
    assert result.complete
    again = run(failing, tmp_path / "journal", repeat_top=3, retries=2)
    assert told(again) == told(result)
    assert len(calls) == 5

    def never(arch):
        return noisy(arch) if not repeat_number() else None

    assert run(never, repeat_top=3, retries=0).best.arch == best


def test_what_is_shown(tmp_path):
    seen = []
    result = run(lambda arch: -noisy(arch), repeat_top=3, progress=seen.append)
    assert [(now.repeated, now.repeats) for now in seen[-4:]] == [(0, 0), (1, 3), (2, 3), (3, 3)]
    assert seen[-1].best == result.best
    assert (seen[-1].finished, seen[-1].budget) == (20, 20)
    findings = report.gather(result, SPACE, sign=-1.0)
    summary = report.summarize(findings)
    assert summary["repeats"]["top"] == 3
    for one, r in zip(summary["repeats"]["each"], result.repeats, strict=True):
        assert one["scores"] == [-score for score in r.scores]
        assert (one["mean"], one["error"], one["n"]) == (-r.mean, r.error, 2)
        assert result.evaluations[one["query"] - 1] == r.first
    assert summary["best"] == summary["repeats"]["each"][0]
    rows = report.table(findings).splitlines()
    assert rows[0].split(",")[:6] == ["query", "score", "mean", "mean_error", "n", "cost"]
    shown = [row.split(",") for row in rows[1:] if row.split(",")[4]]
    assert sorted(float(row[2]) for row in shown) == sorted(-r.mean for r in result.repeats)
    text = report.text(summary, report.save(tmp_path, findings, summary))
    assert f"best      {-result.repeats[0].mean:.6g} +- " in text
    assert "(mean of 2), query" in text
    assert "fixed seed" not in text
    assert json.loads((tmp_path / "best.json").read_text()) == result.best.arch


def test_a_fixed_seed_is_pointed_out():
    result = run(lambda arch: arch["depth"], repeat_top=2)
    assert "take WEAKNAS_REPEAT" in report.text(report.summarize(report.gather(result, SPACE)), [])


def test_costs_that_are_unknown_are_left_out(tmp_path):
    def cost(arch):
        if arch["depth"] == 2:
            raise ZeroDivisionError
        return {1: None, 3: float("inf"), 4: float("nan"), 5: "dear"}.get(arch["depth"], 7.0)

    for what, unknown in ((cost, (1, 2, 3, 4, 5)), ("log(depth - 3)", (1, 2, 3)), ("0 / 0", None)):
        space = Choices(SPACE.choices, cost=what)
        result = run()
        findings = report.gather(result, space)
        summary = report.summarize(findings)
        missing = sum(unknown is None or e.arch["depth"] in unknown for e in result.evaluations)
        assert summary["cost_unknown"] == missing
        paths = report.save(tmp_path, findings, summary)
        read = json.loads((tmp_path / "summary.json").read_text())
        assert all(np.isfinite(point["cost"]) for point in read["pareto"])
        rows = (tmp_path / "results.csv").read_text().splitlines()[1:]
        assert sum(row.split(",")[2] == "" for row in rows) == missing
        every = "every one" if missing == 20 else missing
        assert f"left out: {every} of 20, whose cost is unknown" in report.text(summary, paths)
        figure = report.draw(tmp_path / "curve.png", findings, summary)
        scores, costs = figure.axes
        assert (scores.get_xlabel(), scores.get_ylabel()) == ("queries", "score")
        assert " ".join(costs.get_xlabel().split()) == f"cost = {summary['cost']}"
        each, best = scores.get_lines()
        assert each.get_xdata().tolist() == list(range(1, 21))
        assert best.get_label() == "best so far"
        points = costs.get_lines()[0].get_xdata()
        assert np.isnan(points).sum() == missing
