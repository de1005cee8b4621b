"""Training from scratch: the recipe's rules by hand, and real trainings of a tiny network."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import LONG
from flax import nnx
from mobilenet_calls import QUICKLY, TINY, calls
from PIL import Image

from weaknas_jax.report import run_folder
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.storage import checkpoint
from weaknas_jax.supernets import recipe as recipes
from weaknas_jax.supernets.data import augment, images
from weaknas_jax.supernets.mobilenet import train_subnet
from weaknas_jax.supernets.mobilenet.subnet import Static

CLASSES, EACH, EPOCHS, BATCH = 3, 18, 4, 8
STEPS = CLASSES * EACH // BATCH


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Classes that differ by the direction of their stripes."""
    root, rng = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)
    for split, count in (("train", EACH), ("val", 8)):
        for label in range(CLASSES):
            folder = root / split / f"c{label}"
            folder.mkdir(parents=True)
            for i in range(count):
                y, x = np.mgrid[:24, :24]
                along = (x, y, np.hypot(x - 12, y - 12))[label]
                wave = np.sin(along * 1.6 + rng.uniform(0, 6))[..., None]
                pixels = 128 + 90 * wave * rng.uniform(0.5, 1, 3) + rng.normal(0, 8, (24, 24, 3))
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return root


SCRIPT = """
from weaknas_jax.cli.mobilenet import flags, main as mobilenet
from mobilenet_calls import TINY
flags.config.mobilenet_v3 = lambda width, size: TINY
mobilenet.start()
"""


def line(root, out, *more):
    flags = [f"--imagenet={root}", f"--out={out}", "--arch=min", "--image_size=16"]
    flags += [f"--batch_size={BATCH}", f"--epochs={EPOCHS}", "--ema=0.8", "--warmup=1"]
    return [sys.executable, "-c", SCRIPT, "train", *flags, *more]


def environment(devices=1):
    flags = f"--xla_force_host_platform_device_count={devices}"
    path = os.pathsep.join(sys.path)
    own = {"XLA_FLAGS": flags, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    return os.environ | own | QUICKLY


def run(*arguments, devices=1):
    done = subprocess.run(
        line(*arguments), env=environment(devices), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def rows(folder):
    with open(folder / "log.csv") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """The folder of a training that nothing interrupted, and what it printed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, stdout, stderr = run(root, out)
    assert code == 0, stderr
    return out, json.loads(stdout.splitlines()[-1]), stderr


def test_it_trains_and_says_so(whole):
    out, result, stderr = whole
    log = rows(out)
    assert [int(row["step"]) for row in log] == [STEPS * (e + 1) for e in range(EPOCHS)]
    stored = json.loads((out / "result.json").read_text())
    assert stored == {"format": "weaknas.training/2", **result}
    assert float(log[-1]["top1"]) == result["averaged"]["top1"]
    assert result["averaged"]["top5"] == 100
    assert result["settings"]["weight_decay"] == 1e-5
    assert "images a second" in stderr
    (events,) = out.glob("events.out.tfevents.*")
    content = events.read_bytes()
    assert all(tag in content for tag in (b"loss", b"rate", b"top1"))


@pytest.mark.slow  # checkpoints in test_checkpoint, the order of what follows below
def test_interrupted_at_any_step_it_goes_on_to_the_same_result(root, whole, tmp_path):
    out, expected, _ = whole
    again = line(root, tmp_path / "out", "--save_every=0")
    process = subprocess.Popen(again, env=environment(), stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "out" / run_folder.CHECKPOINTS / "3").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate()
    assert process.returncode == 130, stderr
    assert "interrupted; run the same command line to resume: -c train" in stderr
    kept = checkpoint.Checkpoints(tmp_path / "out" / run_folder.CHECKPOINTS).load()
    assert 3 <= kept[".step"] < STEPS * EPOCHS
    code, stdout, stderr = run(root, tmp_path / "out", "--save_every=0")
    assert code == 0, stderr
    assert "resuming after step" in stderr
    assert json.loads(stdout.splitlines()[-1])["averaged"] == expected["averaged"]
    for part in ("step", "epoch", "loss", "top1"):
        mine, theirs = ([row[part] for row in rows(f)] for f in (tmp_path / "out", out))
        if part != "loss":  # the mean of the epoch that was broken into is of its rest
            assert mine == theirs
    ours, theirs = (
        checkpoint.Checkpoints(f / run_folder.CHECKPOINTS).load() for f in (tmp_path / "out", out)
    )
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.slow  # one device above
def test_four_devices_train_the_same_network(root, whole, tmp_path):
    code, _, stderr = run(root, tmp_path / "out", devices=4)
    assert code == 0, stderr
    ours, theirs = (
        checkpoint.Checkpoints(f / run_folder.CHECKPOINTS).load()
        for f in (tmp_path / "out", whole[0])
    )
    for name, array in theirs.items():
        scale = max(0.01, np.abs(array).max())
        np.testing.assert_allclose(ours[name], array, atol=2e-3 * scale, err_msg=name)


def test_what_is_wrong_is_named(root, whole, tmp_path):
    def arguments(*more):
        return ["train", f"--imagenet={root}", "--image_size=16", *more]

    (tmp_path / "val" / "a").mkdir(parents=True)
    said = calls(
        {
            "other": arguments(f"--out={whole[0]}", f"--batch_size={BATCH}", "--epochs=9"),
            "large": arguments(f"--out={tmp_path / 'x'}", "--batch_size=500"),
            "no out": arguments(f"--batch_size={BATCH}"),
            "no images": ["train", f"--imagenet={tmp_path}", f"--out={tmp_path / 'x'}"],
        },
        tiny=True,
    )
    for name, message in {
        "other": "epochs was 4, is 9",
        "large": f"--batch_size=500: there are {CLASSES * EACH} training images",
        "no out": "--out: name the folder to write to",
        "no images": "train: no such folder",
    }.items():
        code, stdout, stderr = said[name]
        assert (code, stdout) == (2, ""), (name, said[name])
        assert message in stderr, (name, stderr)


@pytest.mark.slow  # what else is wrong is above
def test_a_training_that_diverges_says_so(root, tmp_path):
    own = ["--batch_size=8", "--epochs=2", "--rate=1e30", "--warmup=0"]
    line = ["train", f"--imagenet={root}", "--image_size=16", f"--out={tmp_path / 'y'}", *own]
    code, stdout, stderr = calls({"diverges": line}, tiny=True)["diverges"]
    assert (code, stdout) == (2, "")
    assert "the loss is not finite" in stderr


# --- the rules


def batch_of(rng, count=BATCH, classes=CLASSES):
    """Images of which the class is a brightness."""
    labels = rng.integers(0, classes, count).astype(np.int32)
    pixels = rng.integers(0, 90, (count, 16, 16, 3)) + 80 * labels[:, None, None, None]
    valid = np.ones(count, bool)
    return images.Batch(pixels.astype(np.uint8), labels, np.arange(count, dtype=np.int32), valid)


def training(**settings):
    settings = {"epochs": 20, "warmup": 1, "ema": 0.9, "dropout": 0.1} | settings
    net = Static(TINY, archs.largest(TINY), nnx.Rngs(0))
    return train_subnet.make(net, recipes.Recipe(**settings), 4)


@pytest.mark.slow  # a network of Flax layers learns quickly in test_any_network
@pytest.mark.parametrize("bf16", [False, pytest.param(True, marks=LONG)])
def test_loss_falls(bf16):
    made, rng, key = training(bf16=bf16), np.random.default_rng(0), jax.random.key(0)
    state, step, losses = made.init(), jax.jit(made.step), []
    for _ in range(60):
        state, loss = step(state, batch_of(rng), key)
        losses.append(float(loss))
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10])
    fresh = batch_of(rng, 64)
    right = [int(recipes.count(made.network(state, averaged), fresh).top1) for averaged in (0, 1)]
    assert min(right) > 2 * 64 / CLASSES
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves((state.params, state.stats))}
    assert kinds == {"float32"}


@pytest.fixture(scope="module")
def plain():
    """A training without erasing, and its compiled step."""
    made = training(ema=0.75, erase=0.0)
    return made, jax.jit(made.step)


def test_what_is_not_valid_weighs_nothing_in_the_loss(plain):
    (made, step), rng = plain, np.random.default_rng(1)
    batch = batch_of(rng)
    batch = batch._replace(valid=np.arange(BATCH) < 5)
    other = batch._replace(labels=np.where(batch.valid, batch.labels, 0).astype(np.int32))
    key = jax.random.key(0)
    (a, one), (b, two) = step(made.init(), batch, key), step(made.init(), other, key)
    assert float(one) == float(two)
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    nothing, loss = step(made.init(), batch._replace(valid=np.zeros(BATCH, bool)), key)
    assert float(loss) == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(nothing.params))


def test_rmsprop_is_tensorflows():
    """Written from its rule: mean square from one, epsilon in the root, rate in the momentum."""
    recipe, rng = (
        recipes.Recipe(warmup=0, epochs=3, weight_decay=0.1),
        np.random.default_rng(2),
    )
    params = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=3)}
    params = jax.tree.map(jnp.float32, params)
    made = recipes.optimizer(recipe, 2)
    state, ours = made.init(params), params
    theirs = {k: np.asarray(v, np.float64) for k, v in params.items()}
    square = {k: np.ones_like(v) for k, v in theirs.items()}
    buffer = {k: np.zeros_like(v) for k, v in theirs.items()}
    for at in range(6):
        gradient = {k: rng.normal(size=v.shape) for k, v in theirs.items()}
        change, state = made.update(jax.tree.map(jnp.float32, gradient), state, ours)
        ours = jax.tree.map(jnp.add, ours, change)
        rate = 1e-5 + (1e-2 - 1e-5) * (1 + np.cos(np.pi * (at // 2) / 3)) / 2
        for k, p in theirs.items():
            g = gradient[k] + (0.1 * p if p.ndim > 1 else 0)
            square[k] += 0.1 * (g**2 - square[k])
            buffer[k] = 0.9 * buffer[k] + rate * g / np.sqrt(square[k] + 1e-3)
            theirs[k] = p - buffer[k]
    for k, p in theirs.items():
        np.testing.assert_allclose(ours[k], p, rtol=1e-5, atol=1e-6)


def test_the_rate_rises_and_falls_by_epochs():
    recipe = recipes.Recipe()
    found = [float(recipes.rate(recipe, 10)(step)) for step in (0, 9, 10, 29, 30, 3000, 5999)]
    first, peak, last = 1e-6, 1e-2, 1e-5

    def cosine(epoch):
        return last + (peak - last) * (1 + np.cos(np.pi * epoch / 600)) / 2

    expected = [first, first, first + (peak - first) / 3, first + 2 * (peak - first) / 3]
    np.testing.assert_allclose(found, [*expected, cosine(3), cosine(300), cosine(599)], rtol=1e-5)


def test_averages_and_running_statistics_by_hand(plain):
    (made, step), rng = plain, np.random.default_rng(3)
    begun, batch = made.init(), batch_of(rng)
    state, _ = step(begun, batch, jax.random.key(0))
    stem = begun.params["ends"]["stem"][...]
    after = 0.75 * stem + 0.25 * state.params["ends"]["stem"][...]
    np.testing.assert_allclose(state.averaged[0]["ends"]["stem"][...], after, atol=1e-6)
    x = jax.lax.conv_general_dilated(
        images.normalized(batch.images),
        stem,
        (2, 2),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    mean, var = np.mean(x, (0, 1, 2)), np.var(x, (0, 1, 2))
    found = state.stats["ends"]["stem_norm"]
    np.testing.assert_allclose(found["mean"][...], 0.1 * mean, atol=1e-5)
    np.testing.assert_allclose(found["var"][...], 0.9 + 0.1 * var, rtol=1e-4)


def test_the_order_of_an_epoch():
    order = recipes.epoch_order(3, 1, 50, 8)
    assert len(order) == len(set(order.tolist())) == 48
    np.testing.assert_array_equal(order, recipes.epoch_order(3, 1, 50, 8))
    assert (order != recipes.epoch_order(3, 2, 50, 8)).any()


def test_what_an_image_becomes_does_not_depend_on_where_an_epoch_begins(root):
    found, given = images.find(root, "train"), {"augment": (0, 2), "also": augment.rand_augment}
    order = np.random.default_rng(0).permutation(len(found.paths))
    whole = list(images.batches(found, 16, 6, order=order, **given))
    rest = list(images.batches(found, 16, 6, order=order[12:], **given))
    for one, two in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(one.images, two.images)
        np.testing.assert_array_equal(one.index, two.index)
    other = next(images.batches(found, 16, 6, order=order, **(given | {"augment": (0, 3)})))
    assert (other.images != whole[0].images).any()


# --- augmentation


def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(40, 250, (20, 24, 3), np.uint8))


@pytest.mark.parametrize("name", augment.OPERATORS)
def test_operations(name):
    image = picture()
    found = augment.OPERATORS[name](image, 9.0, 1)
    assert (found.size, found.mode) == (image.size, "RGB")
    assert np.any(np.asarray(found) != np.asarray(image))
    before = np.asarray(picture())
    np.testing.assert_array_equal(np.asarray(image), before)  # the image itself stays


def test_magnitudes_by_hand():
    image, pixels = picture(), np.asarray(picture()).astype(int)

    def after(name, level, sign=1):
        return np.asarray(augment.OPERATORS[name](image, level, sign)).astype(int)

    np.testing.assert_array_equal(after("Posterize", 9), pixels // 32 * 32)  # three bits
    np.testing.assert_array_equal(
        after("Solarize", 5), np.where(pixels < 128, pixels, 255 - pixels)
    )
    added = np.where(pixels < 128, np.minimum(255, pixels + 99), pixels)
    np.testing.assert_array_equal(after("SolarizeAdd", 9), added)
    np.testing.assert_allclose(after("Brightness", 9), np.clip(pixels * 1.72, 0, 255), atol=1)
    moved = after("TranslateX", 10 * 6 / (0.45 * 24), 1)  # six pixels
    np.testing.assert_array_equal(moved[:, :18], pixels[:, 6:])
    assert (moved[:, 18:] == augment.FILL).all()
    turned = np.asarray(image.rotate(-27, Image.Resampling.BILINEAR, fillcolor=augment.FILL))
    np.testing.assert_array_equal(after("Rotate", 9, -1), turned)


def test_rand_augment_is_drawn_from_its_generator():
    one, two = (augment.rand_augment(picture(), np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    same = [
        np.array_equal(augment.rand_augment(picture(), np.random.default_rng(s)), picture())
        for s in range(400)
    ]
    # both operations are left out in a quarter of the draws
    assert abs(np.mean(same) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 400)


def test_erasing():
    white = jnp.full((4000, 32, 32, 1), 7.0)
    found = np.asarray(jax.jit(augment.erased)(jax.random.key(0), white))
    changed = (found != 7).all(-1)
    some = changed.any((1, 2))
    assert abs(some.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 4000)
    share = changed[some].mean((1, 2))
    assert share.min() > 0.015
    assert share.max() < 0.36
    middle = (0.02 + 1 / 3) / 2
    assert abs(share.mean() - middle) < 4 * share.std() / np.sqrt(some.sum()) + 0.01
    noise = found[changed]
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    for image in changed[some][:50]:  # a rectangle
        y, x = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert image[y[0] : y[-1] + 1, x[0] : x[-1] + 1].all()
    colours = jnp.full((8, 32, 32, 3), 7.0)
    again = augment.erased(jax.random.key(0), colours, 1.0)
    assert (np.asarray(again) != 7).any((1, 2, 3)).all()
