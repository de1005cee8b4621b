"""The answer of a search with jobs by what the predictor expects."""

import csv
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from weaknas_jax.jobs import JobsError, report, search
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, integer
from weaknas_jax.storage import journal

SPACE = Choices({"depth": integer(1, 6), "width": integer(1, 6)})
METHOD = methods.make("linear", init=4, per_round=4, budget=24)


def noisy(arch):
    """Deep and wide is best, and one shallow architecture is very lucky."""
    if arch["depth"] == 1 and arch["width"] in (2, 5):
        return 20.0
    rng = np.random.default_rng([arch["depth"], arch["width"]])
    return arch["depth"] + arch["width"] + float(rng.normal())


def failing(arch):
    if arch["depth"] == 6:
        raise ValueError("too deep")
    return noisy(arch)


def run(evaluate=noisy, path=None, method=METHOD, **more):
    with ThreadPoolExecutor(1) as threads:
        return search(method, evaluate, SPACE, executor=threads, journal=path, seed=1, **more)


def test_the_answer_is_the_best_expected_of_the_same_queries():
    plain, result = run(), run(answer="posterior")
    assert [e.arch for e in result.evaluations] == [e.arch for e in plain.evaluations]
    assert plain.expected == ()
    assert plain.best.score == 20  # it was lucky
    best = int(np.argmax(result.expected))
    assert result.best == result.evaluations[best]
    assert result.best.arch["depth"] + result.best.arch["width"] >= 9


def test_a_failed_query_is_no_answer_and_the_summary_says_what_chose(tmp_path):
    result = run(failing, answer="posterior")
    failed = [e for e in result.evaluations if e.score is None]
    assert failed
    assert result.best.score is not None
    summary = report.summarize(report.gather(result, SPACE))
    assert summary["answer"] == "posterior"
    assert summary["best"]["expected"] == max(
        own
        for own, e in zip(result.expected, result.evaluations, strict=True)
        if e.score is not None
    )
    rows = list(csv.DictReader(report.table(report.gather(result, SPACE)).splitlines()))
    assert [float(row["expected"]) for row in rows] == pytest.approx(result.expected, rel=1e-6)
    assert "expected" in report.text({**summary, "cost": None}, [])


def test_it_may_change_from_call_to_call(tmp_path):
    path = str(tmp_path / "journal.jsonl")
    first = run(path=path)
    again = run(path=path, answer="posterior")
    assert again.resumed == 24
    assert again.best.arch == run(answer="posterior").best.arch
    assert run(path=path).best == first.best
    kinds = [record["kind"] for record in journal.read(path)]
    assert kinds.count("done") == 24


def test_a_search_that_was_stopped_answers_by_what_was_told():
    result = run(answer="posterior", stop=iter([False] * 9 + [True] * 99).__next__)
    assert not result.complete
    told = [own for own in result.expected if not math.isnan(own)]
    assert len(told) % 4 == 0
    assert result.best is not None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"answer": "mean"}, "answer='mean': choose one of label, posterior"),
        ({"answer": "posterior", "repeat_top": 3}, "leave one out"),
        (
            {"answer": "posterior", "method": methods.make(method="random", budget=9)},
            "needs a method with a predictor",
        ),
    ],
)
def test_bad_answers_say_what_to_do(settings, why):
    with pytest.raises(JobsError, match=why):
        run(**settings)
