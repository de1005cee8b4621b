"""Pools of sub-networks in a window of costs, and the oracle that labels them."""

import itertools
import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from mobilenet_calls import calls

from weaknas_jax import TableError, load_table
from weaknas_jax.runs import task
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config, cost
from weaknas_jax.spaces.mobilenet import window as pool
from weaknas_jax.supernets.mobilenet import oracle

WIDE = config.mobilenet_v3(1.2)
SMALL = config.small()
ROOT = Path(__file__).parents[2]
SOURCE = Path(os.environ.get("WEAKNAS_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="module")
def layers():
    rng, sizes = np.random.default_rng(0), (128, 20, 20, 20, 1)
    found = {}
    for layer, (a, b) in zip((0, 2, 4, 6), itertools.pairwise(sizes), strict=True):
        found |= {f"{layer}_weight": rng.normal(size=(b, a)) / a, f"{layer}_bias": rng.random(b)}
    return found


def test_different_sub_networks_in_the_window():
    found = pool.draw(WIDE, 0, 300)
    millions = cost.multiply_adds(WIDE, found, 236) // 10**6
    assert millions.min() >= 550
    assert millions.max() <= 600
    rows = pool.rows(found)
    assert len(np.unique(rows, axis=0)) == len(rows) == 300
    jax.tree.map(np.testing.assert_array_equal, pool.canonical(WIDE, found), found)
    jax.tree.map(np.testing.assert_array_equal, pool.unrows(WIDE, rows), found)
    smaller = pool.rows(pool.draw(WIDE, 0, 50))
    np.testing.assert_array_equal(smaller, rows[:50])
    assert (pool.rows(pool.draw(WIDE, 1, 50)) != smaller).any()


def test_what_is_not_active_makes_no_difference():
    drawn = archs.random(WIDE, np.random.default_rng(0), 200)
    other = archs.random(WIDE, np.random.default_rng(1), 200)
    active = archs.active(WIDE, drawn)
    mixed = archs.Arch(
        np.where(active, drawn.kernels, other.kernels),
        np.where(active, drawn.expansions, other.expansions),
        drawn.depths,
    )
    assert (pool.rows(mixed) != pool.rows(drawn)).any()
    for function in (
        lambda a: pool.rows(pool.canonical(WIDE, a)),
        lambda a: pool.one_hot(WIDE, a),
        lambda a: cost.multiply_adds(WIDE, pool.canonical(WIDE, a), 236),
        lambda a: oracle.inputs(WIDE, a, 224),
    ):
        np.testing.assert_array_equal(function(mixed), function(drawn))
    np.testing.assert_array_equal(
        cost.multiply_adds(WIDE, drawn, 236),
        cost.multiply_adds(WIDE, pool.canonical(WIDE, drawn), 236),
    )


def test_one_hot_says_which_choice_each_active_block_has():
    drawn = archs.random(SMALL, np.random.default_rng(0), 20)
    found, blocks = pool.one_hot(SMALL, drawn), len(SMALL.blocks)
    assert found.shape == (20, 3 * (2 * blocks + len(SMALL.stages)))
    kernels = found[:, : 3 * blocks].reshape(20, blocks, 3)
    active = archs.active(SMALL, drawn)
    np.testing.assert_array_equal(kernels.sum(-1), active)
    named = (kernels * SMALL.kernels).sum(-1)
    np.testing.assert_array_equal(named, np.where(active, drawn.kernels, 0))
    depths = found[:, 6 * blocks :].reshape(20, -1, 3)
    np.testing.assert_array_equal((depths * SMALL.depths).sum(-1), drawn.depths)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((600, 550), r"--flops=600,550 at 236 pixels: the space reaches from 222 to 969 million"),
        ((10, 20), "reaches from 222 to 969 million"),
        ((970, 2000), "reaches from 222 to 969 million"),
        ((222, 222), r"reaches from 222 to 969 million; \d+ found of 10 asked for"),
    ],
)
def test_windows_that_hold_nothing_say_what_there_is(window, message, monkeypatch):
    monkeypatch.setattr(pool, "_PATIENCE", 2)
    with pytest.raises(pool.WindowError, match=message):
        pool.draw(WIDE, 0, 10, pool.Window(*window))


def test_the_oracle_is_a_network_of_three_hidden_layers(layers):
    drawn = archs.random(WIDE, np.random.default_rng(0), 4)
    found = oracle.predict(layers, WIDE, drawn, 160)
    for i in range(4):
        one = jax.tree.map(lambda part, i=i: part[i], drawn)
        x = oracle.inputs(WIDE, one, 160)
        assert x[-8:].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
        for layer in (0, 2, 4):
            x = np.maximum(layers[f"{layer}_weight"] @ x + layers[f"{layer}_bias"], 0)
        expected = 100 * (layers["6_weight"] @ x + layers["6_bias"])[0]
        assert found[i] == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="image size 100: the oracle has 112, 128"):
        oracle.predict(layers, WIDE, drawn, 100)
    with pytest.raises(ValueError, match="the oracle is of 20 blocks"):
        oracle.predict(layers, SMALL, archs.random(SMALL, np.random.default_rng(0), 1))


def test_files_that_are_no_oracle_are_named(layers, tmp_path):
    for name, content, message in (
        (
            "lacks",
            {k: v for k, v in layers.items() if k != "4_bias"},
            "no array 4_weight or 4_bias",
        ),
        (
            "shape",
            layers | {"2_weight": np.zeros((20, 19))},
            r"2_weight \(20, 19\), and \(20, 20\)",
        ),
        (
            "many",
            layers | {"6_weight": np.zeros((2, 20)), "6_bias": np.zeros(2)},
            "gives 2 numbers",
        ),
    ):
        np.savez(tmp_path / f"{name}.npz", **content)
        with pytest.raises(TableError, match=rf"{name}\.npz: {message}"):
            oracle.read(tmp_path / f"{name}.npz")


@pytest.mark.skipif(not SOURCE.is_dir(), reason=f"{SOURCE} is absent")
def test_the_oracle_gives_what_the_original_gives():
    stored = json.loads((SOURCE / "ofa" / "accuracy_predictor_reference.json").read_text())
    layers = oracle.read(SOURCE / "ofa" / "accuracy_predictor.npz")
    for text, expected in zip(stored["archs"], stored["predicted"], strict=True):
        arch = archs.make(WIDE, text["ks"], text["e"], text["d"])
        assert oracle.predict(layers, WIDE, arch, text["r"]) == pytest.approx(
            100 * expected, abs=1e-5
        )


def test_a_pool_is_a_table(layers, tmp_path):
    np.savez(tmp_path / "oracle.npz", **layers)
    own, out = f"--oracle={tmp_path / 'oracle.npz'}", tmp_path / "pool.npz"
    wrong = {
        "--flops=550": "--flops=550: give two finite numbers",
        "--flops=1,2": "--flops=1,2 at 236 pixels: the space reaches",
    }
    lines = {
        "pool": ["pool", own, f"--out={out}", "--count=40", "--seed=3", "--flops=300,400"],
        **{flag: ["pool", own, f"--out={out}", flag] for flag in wrong},
    }
    said = calls(lines)
    assert said["pool"][0] == 0, said["pool"]
    table, found = load_table(out), pool.draw(WIDE, 3, 40, pool.Window(300, 400))
    np.testing.assert_array_equal(table.encoding, pool.one_hot(WIDE, found))
    np.testing.assert_array_equal(table.valid[:, 0], oracle.predict(layers, WIDE, found, 224))
    np.testing.assert_array_equal(table.names, pool.names(found))
    for part, same in zip(pool.parse(table.names), found, strict=True):
        np.testing.assert_array_equal(part, same)
    assert set(task.features(table)) == {"hot", "stages"}
    assert "hot" not in task.features(table, "columns")
    with pytest.raises(pool.WindowError, match="names: not of sub-networks"):
        pool.parse(np.array(["k3-e3", "x"]))
    np.testing.assert_array_equal(
        table.extra["multiply_adds"], cost.multiply_adds(WIDE, found, 236)
    )
    assert "not measured" in table.source
    for flag, message in wrong.items():
        code, stdout, stderr = said[flag]
        assert (code, stdout) == (2, "")
        assert message in stderr


def test_a_window_of_whole_millions_or_not():
    costs = np.array([549_999_999, 550_000_000, 600_000_000, 600_999_999, 601_000_000])
    assert pool.Window().holds(costs).tolist() == [False, True, True, True, False]
    exact = pool.Window(whole=False)
    assert exact.holds(costs).tolist() == [False, True, True, False, False]
