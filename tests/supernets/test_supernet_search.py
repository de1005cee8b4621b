"""Search among sub-networks: the space, the loop, the cache, the command line."""

import functools
import json
import sys
import time

import numpy as np
import pytest
from helpers import is_drawn
from mobilenet_calls import calls

from weaknas_jax.jobs import JobsError
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates as pools
from weaknas_jax.spaces.choices import SpaceError
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config, cost, window
from weaknas_jax.spaces.mobilenet.encodings import SubNetworks, features
from weaknas_jax.storage import journal
from weaknas_jax.storage.identity import IdentityError
from weaknas_jax.supernets import search, search_report
from weaknas_jax.supernets.mobilenet import oracle

CONFIG = config.mobilenet_v3(1.2)
SPACE = SubNetworks(CONFIG, window.Window(550, 600), 236)
POOL = 400


def planted(arch):
    """Deep last stages and large kernels are good."""
    value = 70 + np.sum(np.asarray(arch.depths) * [0, 0, 1, 2, 3]) / 4
    return {"score": float(value + 0.05 * kernel_sum(arch)), "top5": 90.0}


def kernel_sum(arch):
    return np.sum(np.where(archs.active(CONFIG, arch), arch.kernels, 0))


def method(**settings):
    return methods.make("gp", **({"init": 6, "per_round": 3, "budget": 24} | settings))


def run(evaluate=planted, given=None, **settings):
    return search.run(given or method(), SPACE, evaluate, pool=POOL, **settings)


@functools.cache
def undisturbed():
    """The scores of a search that nothing stops."""
    return scores(run())


def queries(result):
    return [SPACE.name(e.arch) for e in result.evaluations]


def scores(result):
    return [e.score for e in result.evaluations]


# --- the space


def test_codes_and_sub_networks_are_the_same_thing():
    rng = np.random.default_rng(0)
    codes = SPACE.complete(np.full((200, len(SPACE.names)), -1, np.int16), rng)
    population = SPACE.population(codes)
    np.testing.assert_array_equal(SPACE.codes_of(population), codes)
    for row in codes[:20]:
        named = SPACE.arch(row)
        np.testing.assert_array_equal(SPACE.codes(named), row)
        off = [name for name, value in named.items() if value is None]
        depths = [named[f"d{stage}"] for stage in range(1, 6)]
        assert len(off) == 2 * (20 - sum(depths))
    wild = archs.random(CONFIG, rng, 50)
    again = SPACE.population(SPACE.codes_of(wild))
    expected = window.canonical(CONFIG, wild)
    for part, same in zip(again, expected, strict=True):
        np.testing.assert_array_equal(part, same)


def test_the_window_and_the_costs_are_exact():
    codes = pools.start(SPACE, 3, POOL).codes
    assert SPACE.allowed(codes).all()
    exact = cost.multiply_adds(CONFIG, SPACE.population(codes), 236)
    np.testing.assert_array_equal(SPACE.costs(codes), exact / 1e6)
    assert exact.min() >= 550e6
    assert exact.max() < 601e6
    assert len({row.tobytes() for row in codes}) == POOL


def test_features_by_hand():
    arch = archs.named(CONFIG, "weaknas_1000")
    found = features(CONFIG, archs.Arch(*(part[None] for part in arch)))
    assert found["stages"].tolist() == [
        # depths 4 3 3 3 4; places of kernels 5333 555. 757. 355. 7535, of expansions likewise
        [2, 1, 1, 1, 2, 1, 3, 5, 2, 4, 1, 4, 5, 6, 6]
    ]
    assert found["hot"].shape == (1, 135)
    assert (found["hot"] ** 2).sum() == pytest.approx((17 + 17 + 5) / 2)


def test_a_distance_of_hot_counts_different_choices():
    rng = np.random.default_rng(1)
    codes = SPACE.complete(np.full((1, len(SPACE.names)), -1, np.int16), rng)
    codes[0, :5] = 2  # all blocks are active
    codes = SPACE.complete(codes, rng)
    other = codes.copy()
    other[0, [7, 30, 44]] = (other[0, [7, 30, 44]] + 1) % 3
    hot = features(CONFIG, SPACE.population(np.concatenate([codes, other])))["hot"]
    assert np.sum((hot[0] - hot[1]) ** 2) == pytest.approx(3)


def test_an_impossible_window_says_what_there_is(monkeypatch):
    monkeypatch.setitem(pools.LOOKS, "start", 20_000)
    with pytest.raises(
        window.WindowError, match=r"--flops=1,2 at 236 pixels: the space reaches from"
    ):
        SubNetworks(CONFIG, window.Window(1, 2), 236)
    narrow = SubNetworks(CONFIG, window.Window(222, 222), 236)
    with pytest.raises(SpaceError):
        pools.start(SubNetworks(CONFIG, window.Window(223, 223), 236), 0, 10_000)
    assert narrow.allowed(narrow.codes_of(archs.smallest(CONFIG))[None]).all()


# --- the loop


@pytest.mark.slow  # the command by an oracle is below
def test_it_finds_what_is_good_and_random_search_does_not():
    ours = run()
    other = run(given=methods.make("gp", method="random", init=6, per_round=3, budget=24))
    assert ours.complete
    assert len(ours.evaluations) == 24
    assert ours.curve()[-1] > other.curve()[-1]
    assert ours.promised[1] <= ours.curve()[-1] + 1
    assert other.promised is None
    assert np.isnan(ours.expected).tolist() == [True] * 6 + [False] * 18
    best = ours.best(3)
    assert best[0].score == ours.curve()[-1]
    assert best[0].score >= best[1].score >= best[2].score


@pytest.mark.slow  # windows are above; a pool that is refreshed: test_drive
def test_nothing_is_asked_for_twice_and_all_is_inside_the_window():
    result = run(refresh=3)
    assert len(set(queries(result))) == 24
    for e in result.evaluations:
        assert window.inside(CONFIG, e.arch, SPACE.window, 236)


@pytest.mark.slow  # pools that are refreshed: test_drive
def test_a_refreshed_pool_reaches_beyond_the_first():
    """What a pool that stays may find at all is its best row."""
    first = SPACE.population(pools.start(SPACE, 0, POOL).codes)
    each = [archs.Arch(*(part[i] for part in first)) for i in range(POOL)]
    limit = max(planted(arch)["score"] for arch in each)
    budget = method(init=6, per_round=1, budget=60)
    stays = run(given=budget, refresh=None)
    assert stays.curve()[-1] <= limit + 1e-9
    assert run(given=budget, refresh=3).curve()[-1] > limit


@pytest.mark.slow  # workers of any speed: quick in test_jobs
def test_the_same_seed_is_the_same_search_with_any_number_of_workers():
    expected = scores(run(seed=5))
    assert scores(run(seed=5, workers=3)) == expected
    assert scores(run(seed=6)) != expected


def test_failures_are_recorded_and_the_search_goes_on():
    def fragile(arch):
        if kernel_sum(arch) % 3 == 0:
            raise RuntimeError("out of memory")
        return planted(arch) if kernel_sum(arch) % 3 == 1 else {"score": float("nan")}

    result = run(fragile)
    failed = [e for e in result.evaluations if e.error]
    assert len(result.evaluations) == 24
    assert {e.error for e in failed} == {"RuntimeError: out of memory", "the score is nan"}
    assert all(e.score is None for e in failed)
    assert np.isfinite(result.best()[0].score)
    with pytest.raises(JobsError, match="all of the first 5 architectures failed"):
        run(lambda arch: 1 / 0, give_up=5)


def test_a_full_disk_is_no_failure_of_a_sub_network():
    def full(arch):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run(full)


def test_a_time_out_is_a_failure_of_that_sub_network():
    slow = []

    def sometimes(arch):
        if not slow:
            slow.append(arch)
            time.sleep(1.5)
        return planted(arch)

    random = methods.make(method="random", init=2, per_round=2, budget=4)
    result = run(sometimes, random, timeout=0.5, workers=2)
    (failed,) = [e for e in result.evaluations if e.score is None]
    assert failed.error == "took longer than the time-out of 0.5 s"
    assert SPACE.name(failed.arch) == SPACE.name(slow[0])


def test_what_failed_once_is_tried_again():
    tried = []

    def first_time(arch):
        tried.append(arch)
        if len(tried) == 1:
            raise RuntimeError("no memory now")
        return planted(arch)

    random = methods.make(method="random", init=2, per_round=2, budget=4)
    result = run(first_time, random, retries=1)
    assert len(tried) == 5
    assert [e.attempts for e in result.evaluations] == [2, 1, 1, 1]


@pytest.mark.slow  # the same of any space is quick in test_jobs
def test_a_search_in_async_mode_goes_on_from_its_journal(tmp_path):
    more, seen = {"mode": "async", "journal": str(tmp_path / "journal.jsonl")}, []
    budget = method(init=4, per_round=1, budget=10)
    part = run(given=budget, stop=lambda: len(seen) >= 6, progress=seen.append, **more)
    assert not part.complete
    whole = run(given=budget, **more)
    assert whole.complete
    assert whole.reused == len(part.evaluations) == 6
    assert queries(whole)[:6] == queries(part)
    assert np.isfinite(whole.expected[4:]).all()
    with pytest.raises(ValueError, match="refresh"):
        run(given=budget, refresh=2, **more)


# --- the cache


def test_a_cache_of_version_0_1_is_read(tmp_path):
    """Its lines, as they were written then."""
    names = [SPACE.name(e.arch) for e in run(given=method(budget=6)).evaluations]
    with journal.opened(tmp_path / "cache", {"holds": "evaluations", "weights": "a"}) as book:
        for at, name in enumerate(names):
            error = "RuntimeError: diverged" if at == 2 else None
            values = {} if error else {"score": 70.5 + at, "top5": 90.0}
            book.write({"found": values, "error": error, "seconds": 60.0, "name": name})
    with search.cache(tmp_path / "cache", {"weights": "a"}) as cache:
        result = run(lambda arch: 1 / 0, method(budget=6), cache=cache)
    assert result.reused == 6
    assert scores(result) == [70.5, 71.5, None, 73.5, 74.5, 75.5]
    assert result.evaluations[2].error == "RuntimeError: diverged"
    assert {e.seconds for e in result.evaluations} == {60.0}
    assert result.evaluations[0].info == {"top5": 90.0}


def test_after_a_kill_nothing_is_evaluated_twice(tmp_path):
    calls = []

    def counting(arch):
        calls.append(arch)
        if len(calls) == 14:
            raise KeyboardInterrupt
        return planted(arch)

    path, about = tmp_path / "cache.jsonl", {"weights": "a"}
    with pytest.raises(KeyboardInterrupt), search.cache(path, about) as cache:
        run(counting, cache=cache)
    with search.cache(path, about) as cache:
        result = run(counting, cache=cache)
    assert scores(result) == undisturbed()
    assert len(calls) == 24 + 1  # the one that was broken off
    assert result.reused in (13, 14)  # what another thread had begun is kept too
    with search.cache(path, about) as cache:
        again = run(counting, cache=cache)
    assert (len(calls), again.reused) == (25, 24)
    assert scores(again) == scores(result)


def test_what_is_no_finite_number_is_unknown(tmp_path):
    def odd(arch):
        return planted(arch) | {"top5": float("nan"), "loss": np.float32(np.inf), "note": "x"}

    random = methods.make(method="random", init=3, per_round=3, budget=6)
    with search.cache(tmp_path / "cache", {}) as cache:
        result = run(odd, random, cache=cache)
    assert len(result.evaluations) == 6
    findings = search_report.gather([result], SPACE)
    summary = search_report.summarize(findings)
    paths = search_report.save(tmp_path, findings, summary)
    read = json.loads((tmp_path / "summary.json").read_text())
    assert {(one["top5"], one["loss"], one["note"]) for one in read["best"]} == {(None, None, "x")}
    assert " - " in search_report.text(summary, paths)
    figure = search_report.draw(tmp_path / "search.png", findings, summary)
    left, right, colours = figure.axes
    assert left.get_xlabel() == "million multiply-adds at 236 pixels"
    assert (left.get_ylabel(), colours.get_ylabel()) == ("top-1 (%)", "query")
    queried = [(row["multiply_adds"] / 1e6, row["score"]) for row in findings.rows]
    np.testing.assert_allclose(left.collections[0].get_offsets(), queried)
    best = [line.get_xydata().tolist() for line in left.get_lines() if line.get_label() == "best"]
    assert best == [[[read["best"][0]["multiply_adds"] / 1e6, read["best"][0]["score"]]]]
    (curve,) = right.get_lines()
    assert curve.get_ydata().tolist() == read["curves"][0]


@pytest.mark.slow  # one that is killed is above
def test_a_stopped_search_goes_on(tmp_path):
    path, seen = tmp_path / "cache.jsonl", []
    with search.cache(path, {}) as cache:
        part = run(cache=cache, progress=seen.append, stop=lambda: len(seen) >= 10)
    assert not part.complete
    with search.cache(path, {}) as cache:
        whole = run(cache=cache)
    assert whole.complete
    assert whole.reused >= 10
    assert scores(whole) == undisturbed()


@pytest.mark.slow  # with a journal: quick in test_jobs
def test_where_nothing_worked_all_is_tried_anew(tmp_path):
    path = tmp_path / "cache.jsonl"
    with search.cache(path, {}) as cache, pytest.raises(JobsError, match="mend it"):
        run(lambda arch: 1 / 0, cache=cache, give_up=6)
    with search.cache(path, {}) as cache:
        assert scores(run(cache=cache)) == undisturbed()


def test_what_a_stop_broke_off_is_no_failure(tmp_path):
    path, halted = tmp_path / "cache.jsonl", []

    def ended(arch):
        halted.append(True)
        raise RuntimeError("ended")

    with search.cache(path, {}) as cache:
        part = run(ended, cache=cache, stop=lambda: bool(halted))
    assert part.evaluations == []
    with search.cache(path, {}) as cache:
        assert cache.records == {}


def test_a_cache_of_something_else_is_refused(tmp_path):
    path = tmp_path / "cache.jsonl"
    with search.cache(path, {"weights": "a"}):
        pass
    with (
        pytest.raises(IdentityError, match='weights was "a", is "b"'),
        search.cache(path, {"weights": "b"}),
    ):
        pass


# --- the command line


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    """An accuracy predictor of random weights."""
    rng, path, width = np.random.default_rng(0), tmp_path_factory.mktemp("oracle") / "o.npz", 128
    arrays = {}
    for layer, out in ((0, 16), (2, 16), (4, 16), (6, 1)):
        arrays[f"{layer}_weight"] = rng.normal(size=(out, width)) / width**0.5
        arrays[f"{layer}_bias"] = rng.normal(size=out)
        width = out
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def said(layers, tmp_path_factory):
    """What each call returned and printed, and the folder of the first."""
    scratch = tmp_path_factory.mktemp("calls")
    script = scratch / "train.py"
    script.write_text(
        "import json, sys\n"
        "arch = json.loads(sys.argv[1])\n"
        "if sum(arch['ks']) % 7 == 0: sys.exit('diverged')\n"
        "print(json.dumps({'score': 70 + sum(arch['d']) / 10, 'top5': 91.5}))\n"
    )
    own = ["search", "--evaluator=oracle", f"--oracle={layers}", f"--out={scratch / 'oracle'}"]
    own += ["--count=300", "--budget=14", "--repeats=2"]
    by_command = ["search", "--evaluator=command", f"--out={scratch / 'command'}", "--count=200"]
    by_command += [
        f"--command={sys.executable} {script} {{arch}}",
        "--init=4",
        "--budget=8",
        "--method=random",
    ]
    cases = {
        "oracle": own,
        "again": own,
        "command": [*by_command, "--per_round=2", "--workers=2"],
        "other cache": [*own, "--oracle_size=160"],
        "window": [*own, "--flops=1,2"],
        "no oracle": own[:2],
        "size": [*own, "--oracle_size=7"],
        "number": [*own, "--beta=1", "--acquisition=mean"],
        "no command": ["search", "--evaluator=command"],
        "no weights": ["search"],
    }
    return calls(cases), scratch


def test_the_command_by_an_oracle(said, layers):
    answers, scratch = said
    code, stdout, stderr = answers["oracle"]
    assert code == 0, stderr
    assert "not measured" in stdout
    out = scratch / "oracle"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["complete"]
    assert summary["queries"] == 28
    assert [len(curve) for curve in summary["curves"]] == [14, 14]
    best = summary["best"][0]
    arch = archs.read(CONFIG, out / "best.json")
    assert best["score"] == pytest.approx(
        float(oracle.predict(oracle.read(layers), CONFIG, arch)), abs=1e-9
    )
    assert best["multiply_adds"] == cost.multiply_adds(CONFIG, arch, 236)
    assert best["parameters"] == cost.parameters(CONFIG, arch)
    assert best["score"] == max(max(curve) for curve in summary["curves"])
    assert len((out / "results.csv").read_text().splitlines()) == 29
    assert is_drawn(out / "search.png")
    assert "28 queries, 0 failed, 28 known before" in answers["again"][1]


def test_the_command_by_a_command(said):
    answers, scratch = said
    code, stdout, stderr = answers["command"]
    assert code == 0, stderr
    summary = json.loads((scratch / "command" / "summary.json").read_text())
    assert summary["best"][0]["top5"] == 91.5
    assert (scratch / "command" / "results.csv").read_text().count("diverged") == summary["failed"]
    assert "8 queries" in stdout


def test_what_is_wrong_is_named(said):
    for name, message in {
        "other cache": "oracle_size was 224, is 160; name another file",
        "window": "--flops=1,2 at 236 pixels: the space reaches",
        "no oracle": "--oracle: name a file",
        "size": "image size 7: the oracle has 112",
        "number": "beta=1.0",
        "no command": "--command: name a shell command",
        "no weights": "--weights: name a file or folder",
    }.items():
        code, stdout, stderr = said[0][name]
        assert (code, stdout) == (2, ""), name
        assert message in stderr, (name, stderr)
