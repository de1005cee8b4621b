"""The demo: its images, its statistics, and all of it, very short."""

import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import is_drawn
from PIL import Image
from sklearn.linear_model import RidgeClassifier

from weaknas_jax.cli.mobilenet import agreement
from weaknas_jax.spaces.mobilenet import config, cost, window
from weaknas_jax.supernets.data import digits


def test_splits_share_no_digit():
    parts = [digits.sources(3, split) for split in digits.SPLITS]
    together = np.concatenate(parts)
    assert sorted(together.tolist()) == list(range(1797))
    assert [len(part) for part in parts] == [1078, 360, 359]
    with pytest.raises(ValueError, match="split=dev: choose one of train, validation, test"):
        digits.make(0, "dev", 1)


def test_images_are_those_of_their_seed():
    images, labels = digits.make(1, "train", 1100)
    assert images.shape == (1100, 32, 32, 3)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    assert sorted(set(labels.tolist())) == list(range(10))
    again, _ = digits.make(1, "train", 1100)
    np.testing.assert_array_equal(images, again)
    for other in (digits.make(2, "train", 50), digits.make(1, "test", 50)):
        assert (other[0] != images[:50]).mean() > 0.9


@pytest.mark.slow  # its parts are tested here
def test_the_task_is_neither_hopeless_nor_easy_for_a_linear_model():
    (images, labels), (tested, truth) = digits.make(0, "train", 4000), digits.make(0, "test", 1000)
    flat = [part.reshape(len(part), -1).astype(np.float32) for part in (images, tested)]
    score = RidgeClassifier(alpha=3e5).fit(flat[0], labels).score(flat[1], truth)
    assert 0.12 < score < 0.6


def test_spreads_are_those_that_made_the_numbers():
    rng = np.random.default_rng(0)
    networks, seeds = 3 * rng.normal(size=(400, 1)), 1.5 * rng.normal(size=(400, 2))
    found = agreement.spread(80 + networks + seeds)
    assert found.networks == pytest.approx(3, rel=0.1)
    assert found.seeds == pytest.approx(1.5, rel=0.1)
    assert found.p_value < 1e-9
    nothing = agreement.spread(seeds)
    assert nothing.networks < 0.5
    assert nothing.p_value > 0.01


def test_tau_and_place():
    inherited = np.arange(12.0)
    retrained = inherited.copy()
    retrained[[2, 7]] = retrained[[7, 2]]
    value, (low, high) = agreement.tau(inherited, retrained)
    assert value == pytest.approx(1 - 2 * 9 / 66)
    assert -1 <= low < value < high <= 1
    assert agreement.tau(inherited, retrained)[1] == [low, high]
    assert [agreement.place(retrained, at) for at in (11, 2, 0)] == [1, 5, 12]


@pytest.mark.long
@pytest.mark.slow  # its parts are tested here and in test_shrink; test_snippets runs it
@pytest.mark.parametrize("own", [False, True], ids=["digits", "folder"])
def test_all_of_it_runs(tmp_path, own):
    line = [sys.executable, "-m", "experiments.mobilenet", "demo", "--quick", "--networks=3"]
    if own:
        pixels, labels = digits.make(0, "train", 400)
        for i, (image, label) in enumerate(zip(pixels, labels % 3, strict=True)):
            folder = tmp_path / ("val" if i % 4 == 0 else "train") / f"c{label}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")
        line.append(f"--folder={tmp_path}")
    done = subprocess.run(
        [*line, "--seed=5", f"--out={tmp_path / 'out'}"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "training is too short for meaningful results" in done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert written.pop("format") == "weaknas.demo/2"
    assert summary == written
    assert summary["quick"]
    assert -1 <= summary["tau"] <= 1
    assert 1 <= summary["winner_place"] <= 3
    assert summary["search"]["n"] == 8
    assert is_drawn(tmp_path / "out" / "demo.png")
    with open(tmp_path / "out" / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["winner"] for row in rows] == ["1", "0", "0"]
    assert len({row["network"] for row in rows}) == 3
    assert float(rows[0]["inherited"]) == pytest.approx(summary["search"]["best"], abs=1e-3)
    wide = dataclasses.replace(config.digits(), classes=3 if own else 10)
    for row in rows:
        parts = [[int(digit) for digit in part[1:]] for part in row["network"].split("-")]
        arch = window.unrows(wide, np.concatenate(parts))
        assert int(row["multiply_adds"]) == cost.multiply_adds(wide, arch)
        assert int(row["multiply_adds"]) / 1e6 <= summary["limit"]
        assert all(0 <= float(row[f"retrained_{i}"]) <= 100 for i in (0, 1))
