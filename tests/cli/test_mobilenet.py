"""`experiments.mobilenet` on a small supernet and a small folder of images."""

import csv
import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax import nnx
from helpers import child
from mobilenet_calls import TINY, calls
from PIL import Image

from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import cost
from weaknas_jax.supernets.data import images
from weaknas_jax.supernets.mobilenet import evaluate, recalibrate, supernet, weights


@pytest.fixture(scope="module")
def net():
    return supernet.Supernet(TINY, nnx.Rngs(0))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(0)
    for split, count in (("train", 4), ("val", 5)):
        for label in range(6):
            folder = root / split / f"n{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    (root / "val" / "n3" / "2.png").write_bytes(b"cut off")
    return root


@pytest.fixture(scope="module")
def stored(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "ours"
    weights.save(folder, net)
    return folder


ASKED = ("--arch=min", "--image_size=16", "--batch=8", "--recalibrate=20", "--data_seed=4")


@pytest.fixture(scope="module")
def said(root, stored, tmp_path_factory):
    """What each call returned and printed."""
    scratch = tmp_path_factory.mktemp("calls")
    (scratch / "few" / "val" / "n1").mkdir(parents=True)
    (scratch / "few" / "val" / "n1" / "a.png").write_bytes(b"")
    (scratch / "illegal.json").write_text('{"ks": [3, 4], "e": 2, "d": 2}')
    own, folder = f"--weights={stored}", f"--imagenet={root}"
    cases = {
        "evaluate": ["evaluate", own, folder, *ASKED],
        "masks": ["evaluate", own, folder, *ASKED, "--how=masks", "--workers=3"],
        "as stored": ["evaluate", own, folder, *ASKED, "--recalibrate=0"],
        "drawn": ["evaluate", own, folder, *ASKED, "--recalibrate=0", "--images=12"],
        "convert": ["convert", own, f"--out={scratch / 'again'}"],
        "occupied": ["convert", own, f"--out={scratch}"],
        "search, stored": ["search", own, folder, *ASKED[1:], "--flops=0,5", "--recalibrate=0"],
        "other": ["evaluate", "train", own],
        "no weights": ["evaluate", folder],
        "no file": ["evaluate", f"--weights={scratch / 'none'}", folder],
        "no folder": ["evaluate", own, f"--imagenet={scratch / 'none'}"],
        "not weights": ["evaluate", f"--weights={root}", folder],
        "few classes": ["evaluate", own, f"--imagenet={scratch / 'few'}"],
        "too small": ["evaluate", own, folder, "--image_size=1"],
        "illegal": ["evaluate", own, folder, f"--arch={scratch / 'illegal.json'}"],
    }
    return calls(cases, tiny=True) | {"folder": scratch}


def result(said, name):
    code, out, _ = said[name]
    assert code == 0, said[name]
    return json.loads(out.splitlines()[-1])


def test_accuracy_is_that_of_the_recalibrated_network(net, root, said):
    """By hand, one batch at a time."""
    arch, found = archs.smallest(TINY), result(said, "evaluate")
    train = images.drawn(images.find(root, "train"), 20, 4)
    parts, of_batch = [], jax.jit(recalibrate.statistics)
    for batch in images.batches(train, 16, 8, augment=4):
        pixels = images.normalized(batch.images[batch.valid])
        parts.append((len(pixels), of_batch(net, arch, pixels[None])))
    assert [count for count, _ in parts] == [8, 8, 4]
    other = recalibrate.with_statistics(net, recalibrate.pooled(parts))
    (val,) = images.batches(images.find(root, "val"), 16, 30)
    assert val.valid.sum() == 29
    logits = np.asarray(
        jax.jit(supernet.Supernet.__call__)(other, images.normalized(val.images), arch)
    )
    order = np.argsort(-logits, axis=1)
    hits = (order == val.labels[:, None]) & val.valid[:, None]
    assert found["top1"] == pytest.approx(100 * hits[:, 0].sum() / 29)
    assert found["top5"] == pytest.approx(100 * hits[:, :5].sum() / 29)
    assert 0 < found["top1"] < found["top5"] < 100
    assert found["images"] == 29
    assert found["unreadable"] == [str(root / "val" / "n3" / "2.png")]
    assert found["multiply_adds"] == cost.multiply_adds(TINY, arch, 16)
    assert "29 of 30 validation images" in said["evaluate"][1]
    assert "skipped, cannot be read: " in said["evaluate"][2]
    assert "validation: 30/30 images" in said["evaluate"][2]


def test_how_and_threads_and_where_weights_lie_change_nothing(net, said):
    expected, found = result(said, "evaluate"), result(said, "masks")
    for name in ("top1", "top5", "images"):
        assert found[name] == expected[name]
    assert said["convert"][0] == 0
    again = weights.read(said["folder"] / "again", TINY)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again), nnx.state(net))


def test_without_recalibration_and_of_drawn_images(net, root, said):
    found = images.find(root, "val")
    (val,) = images.batches(found, 16, 30)
    logits = net(images.normalized(val.images), archs.smallest(TINY))
    likeliest = np.asarray(logits).argmax(-1)
    right = (likeliest == val.labels) & val.valid
    assert result(said, "as stored")["top1"] == pytest.approx(100 * right.sum() / 29)
    places = {path: i for i, path in enumerate(found.paths)}
    drawn = [places[path] for path in images.drawn(found, 12, 4).paths]
    expected = 100 * right[drawn].sum() / val.valid[drawn].sum()
    assert result(said, "drawn")["top1"] == pytest.approx(expected)


@pytest.mark.slow  # searches by an oracle and by a command are quick in test_supernet_search
def test_a_search_counts_as_evaluate_does(root, stored, tmp_path):
    """All twenty sub-networks of the tiny supernet."""
    folder, own = tmp_path / "search", [f"--weights={stored}", f"--imagenet={root}"]
    found = ["search", *own, *ASKED[1:], "--flops=0,5"]
    found += ["--init=4", "--budget=20", f"--out={folder}"]
    cases = {
        "evaluate": ["evaluate", *own, *ASKED],
        "search": found,
        "search again": [*found, "--seed=1"],
        "search, other data": [*found, "--images=12"],
    }
    said = calls(cases, tiny=True)
    expected = result(said, "evaluate")
    assert said["search"][0] == 0, said["search"][2]
    with open(folder / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert len({row["arch"] for row in rows}) == 20
    (same,) = [row for row in rows if json.loads(row["arch"]) == expected["arch"]]
    assert float(same["score"]) == pytest.approx(expected["top1"])
    assert float(same["top5"]) == pytest.approx(expected["top5"])
    assert int(same["multiply_adds"]) == expected["multiply_adds"]
    assert "skipped, cannot be read" in said["search"][2]
    assert "20 queries, 0 failed, 0 known before" in said["search"][1]
    assert "20 queries, 0 failed, 20 known before" in said["search again"][1]
    assert "images" not in said["search again"][2]  # they are read from the file
    code, out, err = said["search, other data"]
    assert (code, out) == (2, "")
    assert "evaluations.jsonl: was started with other settings: val" in err


def test_what_is_wrong_is_named(said):
    for name, message in {
        "search, stored": "--recalibrate=0: inherited accuracy needs recalibration",
        "occupied": "is there already; name another folder",
        "other": "unexpected argument 'train'",
        "no weights": "--weights: name",
        "no file": "none: no such file",
        "no folder": "val: no such folder",
        "not weights": "no folder of weights",
        "few classes": "1 class folders, but the network has 6",
        "too small": "image size 1: the network needs at least",
        "illegal": "illegal.json: block 2 (stage 1, place 2): kernel size 4",
    }.items():
        code, out, err = said[name]
        assert code == 2, name
        assert out == "", name
        assert message in err, (name, err)


# Each line in a fork: a process takes the flags of one command.
STARTS = """
import contextlib, io, json, os, sys
from weaknas_jax.cli.mobilenet import main
answers = []
for sys.argv[1:] in json.load(sys.stdin):
    read, write = os.pipe()
    if not os.fork():
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main.start()
        except SystemExit as end:
            with os.fdopen(write, "w") as file:
                json.dump([end.code, out.getvalue(), err.getvalue()], file)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        answers.append(json.load(file))
    os.wait()
print(json.dumps(answers))
"""


def test_a_command_comes_first_and_has_flags_of_its_own():
    wrong = ([], ["--seed=3", "evaluate"], ["evalute"])
    *refused, unknown, help_ = child(
        STARTS, [*wrong, ["convert", "--repeats=2"], ["search", "--help"]]
    )
    line = [sys.executable, "-m", "experiments.mobilenet"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    for code, _, err in (*refused, (done.returncode, "", done.stderr)):
        assert code == 2
        assert err.startswith("error: name a command first: demo, convert, evaluate")
    assert "Unknown command line flag 'repeats'" in unknown[2]
    assert "--repeats" in help_[1]


def test_weights_of_another_supernet_are_refused(net, stored):
    again = weights.read(stored, TINY)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again), nnx.state(net))
    assert weights.read(stored, dataclasses.replace(TINY, image_size=20)).config.image_size == 20
    with pytest.raises(weights.WeightsError, match=r"another geometry: classes=6$"):
        weights.read(stored, dataclasses.replace(TINY, classes=7))


def test_a_network_of_nans_is_right_about_nothing(net):
    broken = nnx.clone(net)
    broken.ends.classifier_bias = nnx.Param(np.full(6, np.nan, np.float32))
    batch = images.blank(4, 16)._replace(valid=np.ones(4, bool))
    found = evaluate.count(broken, archs.largest(TINY), batch)
    assert [int(n) for n in found] == [4, 0, 0]


def test_nothing_to_recalibrate_on_is_an_error(net):
    batch = images.blank(2, 16)
    with pytest.raises(ValueError, match="no image to recalibrate on can be read"):
        evaluate.recalibrated(net, archs.largest(TINY), [batch])
