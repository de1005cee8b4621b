"""A batch that is stopped anywhere goes on as if nothing had been."""

import functools

import jax
import numpy as np
import pytest
from conftest import LONG, build, planted_table, quick_and_slow, ridge

from weaknas_jax import HONEST, Job, Plan, Program, Settings
from weaknas_jax.runs import session, task
from weaknas_jax.search.methods import METHODS
from weaknas_jax.storage.checkpoint import Checkpoints

JOBS = [Job(point, run) for point in (0, 1) for run in range(5)]


@functools.cache
def program(name="weaknas", lanes=2):
    """One for all tests: it keeps nothing of what it has done."""

    def method(chunk, top, strength):
        return build(name, ridge(strength), chunk=chunk, top=top)

    points = [{"top": 4, "strength": 0.1}, {"top": 20, "strength": 1.0}]
    problem = task.make(planted_table(noise=0.5), HONEST, neighbours=True, graphs=True)
    return Program(method, problem, Settings(), points=points, given=Plan(lanes))


def assert_equal(one, other):
    one, other = dict(one), dict(other)
    assert set(one) == set(other)
    for job in one:
        for field, array in one[job]._asdict().items():
            np.testing.assert_array_equal(array, getattr(other[job], field))


def calls(every):
    """A stop that comes at every call with a number of ``every``."""
    count = iter(range(1, 10_000))
    return lambda: next(count) % every == 0


@pytest.mark.parametrize("name", quick_and_slow(METHODS, ["weaknas"]))  # others: test_exact
@pytest.mark.parametrize("every", [1, pytest.param(3, marks=LONG), pytest.param(7, marks=LONG)])
def test_stopped_and_resumed_is_the_same(name, every, tmp_path):
    once = program(name)
    whole = session.execute(once, 3, JOBS, Checkpoints(tmp_path / "a"))
    assert whole.complete
    assert not (tmp_path / "a").exists()  # it was faster than a checkpoint
    parts, stop = 0, calls(every)
    while True:
        result = session.execute(once, 3, JOBS, Checkpoints(tmp_path / "b"), stop=stop)
        parts += 1
        if result.complete:
            break
    assert parts > 1
    assert_equal(result.ended, whole.ended)


def test_lanes_that_are_large_begin_again(tmp_path, monkeypatch):
    """What has ended is kept all the same, as often as something more has ended."""
    once, saved = program(), []
    whole = session.execute(once, 3, JOBS, Checkpoints(tmp_path / "a"))
    monkeypatch.setattr(session, "LARGEST", 100)
    keep = Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, arrays: (saved.append(arrays), keep(self, arrays))
    )
    kept, stop = Checkpoints(tmp_path / "b"), calls(8)
    first = session.execute(once, 3, JOBS, kept, every=0, stop=stop)
    assert 0 < len(first.ended) < len(JOBS)
    assert not any("running" in arrays for arrays in saved)
    counts = [len(arrays["ended"]) for arrays in saved]
    assert counts[:-1] == sorted(set(counts))[: len(counts) - 1]
    assert counts[-1] == len(first.ended)
    second = session.execute(once, 3, JOBS, kept)
    assert second.complete
    assert_equal(second.ended, whole.ended)


def test_progress_counts_what_was_done_before(tmp_path):
    once, seen = program(), []
    first = session.execute(once, 0, JOBS, Checkpoints(tmp_path), stop=calls(8))
    assert 0 < len(first.ended) < len(JOBS)
    second = session.execute(once, 0, JOBS, Checkpoints(tmp_path), progress=seen.append)
    assert second.seconds > first.seconds
    assert seen[0].finished >= len(first.ended)
    assert {now.runs for now in seen} == {len(JOBS)}
    assert [now.share for now in seen] == sorted(now.share for now in seen)
    assert seen[-1].share == 1.0
    assert seen[-1].finished == len(JOBS)


def test_a_wider_program_takes_up_what_a_narrower_one_left(tmp_path):
    """Slots do not matter: more devices or fewer go on with the same lanes, two stood by here."""
    whole = session.execute(program(lanes=2), 1, JOBS, Checkpoints(tmp_path / "a"))
    session.execute(program(lanes=4), 1, JOBS, Checkpoints(tmp_path / "b"), stop=calls(2))
    narrow = session.execute(program(lanes=2), 1, JOBS, Checkpoints(tmp_path / "b"))
    for (_, one), (_, other) in zip(sorted(whole.ended), sorted(narrow.ended), strict=True):
        assert (one.queried[0, :5] == other.queried[0, :5]).all()
        assert len(set(other.queried[0].tolist())) == 17


def test_another_configuration_is_refused(tmp_path):
    session.execute(program(), 0, JOBS, Checkpoints(tmp_path), stop=calls(1))
    with pytest.raises(ValueError, match="was started with other settings: lane"):
        session.execute(program("random"), 0, JOBS, Checkpoints(tmp_path))


def test_pack_and_unpack(tmp_path):
    once = program()
    steps = once.work(0, JOBS)
    ended = []
    for _ in range(7):  # runs of five rounds, two at a time
        step = next(steps)
        ended += step.ended
    batch = session.Batch(ended, step.running(), 2.5)
    assert len(batch.running) == 2
    back = session.unpack(once, session.pack(batch))
    assert back.seconds == 2.5
    assert_equal(back.ended, batch.ended)
    for (job, lane), (job_back, lane_back) in zip(batch.running, back.running, strict=True):
        assert job == job_back
        jax.tree.map(np.testing.assert_array_equal, lane, lane_back)
    arrays = session.pack(batch)
    arrays["trace.broken"] = arrays.pop("trace.nan_round")  # as version 0.1 wrote it
    assert_equal(session.unpack(once, arrays).ended, batch.ended)
    assert session.unpack(once, None) == session.Batch([], [], 0.0)
    assert session.unpack(once, session.pack(session.Batch([], []))) == session.Batch([], [], 0.0)
