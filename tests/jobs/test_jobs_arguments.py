"""What `jobs.search` is given is checked before a job starts or a file is made."""

import os
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

from weaknas_jax import Space
from weaknas_jax.jobs import JobsError, search
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, categorical, integer

SPACE = Choices({"depth": integer(1, 5), "op": categorical("a", "b")})
METHOD = methods.make(method="random", budget=4, init=2, per_round=2)
CALLS = []


def evaluate(arch):
    CALLS.append(arch)
    return 1.0


async def later(arch):
    return 1.0


def shut_down():
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    return threads


BAD = [
    ({"method": "gp"}, "method='gp': give a method, such as methods.make"),
    ({"method": None}, "method=None"),
    ({"method": methods.make}, "method=<function make"),
    ({"method": METHOD._replace(sizes=(4, 40))}, "budget=44 is more than the 10 architectures"),
    ({"space": {"depth": [1, 2]}}, "space: give Choices.*this is a dict"),
    ({"space": [1, 2, 3]}, "space: give Choices.*this is a list"),
    ({"space": np.zeros((9, 2))}, "space: give Choices.*this is a ndarray"),
    ({"space": Space(jnp.asarray([[0.0], [np.nan], [1.0], [2.0]]))}, "encoding has.*in row 1"),
    ({"space": Space(jnp.asarray([0.0, 1.0, 2.0, 3.0]))}, r"encoding must be an array \[N, D\]"),
    ({"space": Space(jnp.ones((4, 2)), {"x": jnp.ones((3, 2))})}, r"features\['x'\] must be"),
    ({"space": Space(jnp.ones((4, 1)), {"x": jnp.full((4, 1), np.inf)})}, r"features\['x'\] has"),
    ({"evaluate": 3}, "evaluate=3: give a function"),
    ({"evaluate": None}, "evaluate=None: give a function"),
    ({"evaluate": later}, "is an async function"),
    ({"evaluate": lambda: 1.0}, "cannot be called with an architecture alone"),
    ({"evaluate": lambda depth, op: 1.0}, "cannot be called with an architecture alone"),
    ({"executor": object()}, "executor=.*has no submit"),
    ({"executor": "threads"}, "executor='threads': has no submit"),
    ({"executor": ThreadPoolExecutor}, r"is a class; give ThreadPoolExecutor\(...\)"),
    ({"executor": shut_down()}, "was shut down"),
    *(({"workers": bad}, "workers=") for bad in (1.5, "2", True, 0, -1, np.float64(2), 10**6)),
    *(({"retries": bad}, "retries=") for bad in (1.5, -1, None, "1", False)),
    *(({"give_up": bad}, "give_up=") for bad in (0, -3, 2.0, None)),
    *(({"pool": bad}, "pool=") for bad in (0, -1, 1.5, None, 10**12)),
    *(({"seed": bad}, "seed=") for bad in (-1, 1.5, 2**40, None, "0")),
    *(({"timeout": bad}, "timeout=") for bad in (0, -1, np.nan, np.inf, "3", True)),
    *(({"repeat_top": bad}, "repeat_top=") for bad in (-1, 1.5, None, "3", 5)),
    *(({"mode": bad}, "mode=.*choose one of rounds, async") for bad in ("sync", None, ["rounds"])),
    ({"progress": "bar"}, "progress='bar': give a function"),
    ({"stop": True}, "stop=True: give a function"),
    ({"stop": None}, "stop=None: give a function"),
    ({"about": "mine"}, "about='mine': give a dict"),
    ({"about": {"seed": 3}}, "about: 'seed' is a name of the journal's own"),
    ({"about": {"data": np.nan}}, "about=.*JSON"),
    ({"about": {"data": object()}}, "about=.*JSON"),
    ({"journal": ""}, "journal='': give the path of a file"),
    ({"journal": 3}, "journal=3: give the path of a file"),
    ({"journal": "."}, "journal='.': is a folder"),
    ({"journal": "none/journal"}, "the folder none does not exist"),
    ({"journal": "/dev/null"}, "is no regular file"),
    ({"journal": "file/journal"}, "the folder file does not exist"),
    ({"journal": "x" * 300}, "File name too long; name another"),
    ({"journal": "a\0b"}, r"null (byte|character in path); name another"),
]


@pytest.mark.parametrize(("bad", "match"), BAD)
def test_what_cannot_be_used_is_refused_by_name(bad, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    CALLS.clear()
    good = {"method": METHOD, "evaluate": evaluate, "space": SPACE, "journal": "journal"}
    settings = {"executor": ThreadPoolExecutor(1), **good, **bad}
    with pytest.raises(JobsError, match=match) as refused:
        search(settings.pop("method"), settings.pop("evaluate"), settings.pop("space"), **settings)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert not CALLS


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_journal_that_cannot_be_written(tmp_path):
    (tmp_path / "journal").write_text("")
    (tmp_path / "journal").chmod(0o400)
    with pytest.raises(JobsError, match="cannot be written; name another file"):
        search(METHOD, evaluate, SPACE, journal=tmp_path / "journal")


def test_what_is_as_good_is_taken(tmp_path):
    """Numbers of NumPy, callable objects, a path, built-in functions of a row."""

    class Scores:
        def __call__(self, arch):
            return np.float32(arch["depth"])

    result = search(
        METHOD,
        Scores(),
        SPACE,
        executor=ThreadPoolExecutor(2),
        workers=np.int64(2),
        seed=np.uint32(3),
        timeout=np.float32(9),
        retries=np.int32(0),
        journal=tmp_path / "journal",
    )
    assert len(result.evaluations) == 4
    rows = Space(jnp.arange(6.0)[:, None])
    result = search(METHOD, float, rows, executor=ThreadPoolExecutor(1))
    assert [e.score for e in result.evaluations] == [e.arch for e in result.evaluations]
