"""Spaces that worked before keep their rows, draws and queries, bit for bit."""

import hashlib

import numpy as np
import pytest

from weaknas_jax.jobs.driver import Driver
from weaknas_jax.search import methods
from weaknas_jax.spaces import candidates
from weaknas_jax.spaces.choices import Choices, categorical, integer, ordinal

_MIXED = {
    "depth": integer(1, 4),
    "op": categorical("conv", "mb", True),
    "ratio": ordinal(2, 4.5, when={"op": "mb"}),
    "deep": ordinal("no", "yes", when={"ratio": [4.5], "depth": [3, 4]}),
}
SPACES = {
    "listed": Choices(_MIXED, constraint="depth + ratio <= 6 or op != 'mb'", cost="depth * 10"),
    "sampled": Choices({f"c{i}": integer(0, 5) for i in range(6)}),
    "large": Choices({f"c{i}": categorical(*"abcdef") for i in range(12)}),
    "expression": Choices(
        {f"c{i}": categorical(*"abcdef") for i in range(12)}, constraint="c0 != c1 and c2 == 'a'"
    ),
    "function": Choices(
        {f"c{i}": integer(-300, 300, 3) for i in range(8)},
        constraint=lambda arch: arch["c0"] + arch["c1"] > 100,
    ),
    "conditional": Choices(
        {"on": categorical(False, True), "n": integer(1, 20_000)}
        | {f"c{i}": categorical(*"abcd", when={"on": True}) for i in range(6)},
        constraint="n % 2 == 0",
    ),
    "wide": Choices({"word": categorical(*map(str, range(300))), "n": integer(0, 30_000)}),
}
ROWS = {
    "listed": "5f9292f10d3ef7c1",
    "sampled": "5e0846eba68186db",
    "large": "43b1bfcdeae76611",
    "expression": "c46730b98fb7258d",
    "function": "e5693e844c008026",
    "conditional": "7b9777d6a575954b",
    "wide": "f55127db21771efd",
}
QUERIES = {
    "sampled": "3f86f36bd028805d",
    "expression": "a2f9a8c7b207034f",
    "conditional": "dacd5c34c4e70e7f",
}


def mark(*arrays):
    """The first 16 letters of a checksum of arrays, whatever integers they are of."""
    content = hashlib.sha256()
    for array in map(np.asarray, arrays):
        array = array.astype(np.int64) if array.dtype.kind in "iu" else array
        content.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return content.hexdigest()[:16]


def rows_of(choices):
    """All that a search draws: the first rows, refreshed ones, children; and what is seen of them.

    Exact arithmetic alone: the same on every machine.
    """
    sample = candidates.start(choices, 3, 500)
    size = len(sample.codes)
    asked, best = np.arange(size) % 7 == 0, np.array([size - 1, 0, size // 2])
    fresh = candidates.refresh(choices, sample, 3, asked, best, np.arange(float(size)))
    children = candidates.mutate(choices, fresh.codes, np.random.default_rng(5))
    seen = choices.space(fresh.codes)
    names = sorted(seen.features.keys() & {"slots", "effects", "counts"})
    blocks = [np.asarray(seen.features[name]) for name in names]
    return mark(sample.codes, fresh.codes, children, np.asarray(seen.encoding), *blocks)


def queries_of(choices, method):
    driver, archs = Driver(method, choices, seed=1, pool=300), []
    while rows := driver.ask():
        found = [driver.arch(row) for row in rows]
        driver.tell(rows, [sum(map(hash_of, arch.items())) for arch in found])
        archs += found
    return hashlib.sha256(repr(archs).encode()).hexdigest()[:16]


def hash_of(pair):
    """A score of a value, the same in every process."""
    name, value = pair
    return 0.0 if value is None else float(len(name) + sum(map(ord, str(value))) % 17)


@pytest.mark.parametrize("name", SPACES)
def test_rows_and_draws_stay(name):
    assert rows_of(SPACES[name]) == ROWS[name]


@pytest.mark.parametrize("name", ["sampled", "expression", "conditional"])
def test_queries_stay(name):
    method = methods.make("gp", init=4, per_round=4, budget=24)
    assert queries_of(SPACES[name], method) == QUERIES[name]
