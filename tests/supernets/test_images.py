"""Folders of images: what is read, in which order, and what is said of those that cannot be."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from weaknas_jax.supernets.data import images

SIZES = [(40, 30), (30, 40), (32, 32), (90, 20), (25, 25), (64, 48), (33, 31)]


def picture(i: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    rng = np.random.default_rng(i)
    coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three classes of seven images, of which one is cut off, one is text, one is in grey."""
    root = tmp_path_factory.mktemp("imagenet")
    for split in ("train", "val"):
        for label, name in enumerate(("n02", "n01", "n10")):
            (root / split / name).mkdir(parents=True)
            for i, size in enumerate(SIZES):
                picture(10 * label + i, size).save(root / split / name / f"{i}.png")
    grey = picture(0).convert("L")
    grey.save(root / "val" / "n01" / "grey.JPEG")
    (root / "val" / "n01" / "notes.txt").write_text("no image")
    whole = io.BytesIO()
    picture(5).save(whole, "JPEG")
    (root / "val" / "n02" / "cut.jpg").write_bytes(whole.getvalue()[:-200])
    (root / "val" / "n10" / "text.jpeg").write_text("no image either")
    return root


def test_classes_and_images_are_numbered_by_name(root):
    found = images.find(root, "val")
    assert found.classes == ("n01", "n02", "n10")
    names = [f"{path.parent.name}/{path.name}" for path in found.paths]
    assert names == sorted(names)
    assert len(names) == 24
    np.testing.assert_array_equal(found.labels, np.repeat([0, 1, 2], 8))


def test_every_image_once_in_order_and_broken_ones_named(root, caplog):
    found = images.find(root, "val")
    batches = list(images.batches(found, 24, 10))
    assert [batch.images.shape for batch in batches] == [(10, 24, 24, 3)] * 3
    index, valid, labels = (
        np.concatenate([getattr(b, name) for b in batches]) for name in ("index", "valid", "labels")
    )
    np.testing.assert_array_equal(index, [*range(24), *[-1] * 6])
    np.testing.assert_array_equal(labels[:24], found.labels)
    broken = [found.paths[i].name for i in np.flatnonzero(~valid[:24])]
    assert broken == ["cut.jpg", "text.jpeg"]
    assert not valid[24:].any()
    for name in broken:
        assert f"{name}: cannot be read" in caplog.text


def test_the_middle_as_pillow_makes_it(root):
    found = images.find(root, "val")
    (batch,) = images.batches(found, 24, 24)
    short = math.ceil(24 / 0.875)
    for i in np.flatnonzero(batch.valid):
        image = Image.open(found.paths[i]).convert("RGB")
        scale = short / min(image.size)
        scaled = image.resize([int(side * scale + 1e-9) for side in image.size], Image.BILINEAR)
        left, top = (round((side - 24) / 2) for side in scaled.size)
        expected = np.asarray(scaled)[top : top + 24, left : left + 24]
        np.testing.assert_array_equal(batch.images[i], expected, err_msg=str(found.paths[i]))


@pytest.mark.parametrize("augment", [None, 3])
def test_batch_threads_and_shards_change_no_image(root, augment):
    found = images.find(root, "val")
    (whole,) = images.batches(found, 16, 24, augment=augment, threads=1)
    for batch, threads, shards in ((5, 4, 1), (24, 2, 1), (3, 2, 3)):
        seen = {}
        for number in range(shards):
            shard = (number, shards)
            for b in images.batches(
                found, 16, batch, augment=augment, threads=threads, shard=shard
            ):
                seen |= {int(i): image for i, image in zip(b.index, b.images, strict=True)}
        assert set(seen) - {-1} == set(range(24))
        for i in range(24):
            np.testing.assert_array_equal(seen[i], whole.images[i])


def test_crops_keep_area_and_aspect():
    rng = np.random.default_rng(0)
    boxes = np.array([images._box(400, 300, rng) for _ in range(4000)])
    assert boxes.min() >= 0
    assert (boxes[:, 2] <= 400).all()
    assert (boxes[:, 3] <= 300).all()
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share, aspect = w * h / 120_000, w / h
    assert 0.07 < share.min() < 0.1
    assert share.max() <= 1.0
    assert 0.74 < aspect.min() < 0.77
    assert 1.3 < aspect.max() < 1.36
    assert images._box(1000, 10, rng) == (493, 0, 506, 10)


def test_half_are_flipped():
    image = Image.fromarray(
        np.tile(np.arange(0, 250, 5, dtype=np.uint8)[None, :, None], (50, 1, 3))
    )
    crops = [images.augmented(image, 16, np.random.default_rng(i)) for i in range(400)]
    rising = np.mean([a[0, -1, 0] > a[0, 0, 0] for a in map(np.asarray, crops)])
    assert abs(rising - 0.5) < 4 * 0.5 / 20


def test_draws_are_of_the_seed(root):
    found = images.find(root, "val")
    a, b, c = (images.drawn(found, 9, seed) for seed in (0, 0, 1))
    assert a.paths == b.paths != c.paths
    assert len(set(a.paths)) == 9
    np.testing.assert_array_equal(a.labels, [found.classes.index(p.parent.name) for p in a.paths])
    assert len(images.drawn(found, 1000, 0).paths) == 24


def test_bytes_become_what_networks_take():
    found = images.normalized(np.array([[0, 128, 255]], np.uint8))
    expected = [(0 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(found, [expected], rtol=1e-6)


def test_folders_that_are_not_such_are_named(tmp_path):
    with pytest.raises(images.ImagesError, match=r"val: no such folder; val/CLASS/IMAGE.JPEG"):
        images.find(tmp_path, "val")
    (tmp_path / "val").mkdir()
    with pytest.raises(images.ImagesError, match="val: holds no folder"):
        images.find(tmp_path, "val")
    (tmp_path / "val" / "n01").mkdir()
    (tmp_path / "val" / "n01" / "a.txt").write_text("")
    with pytest.raises(images.ImagesError, match="n01: this class has no image"):
        images.find(tmp_path, "val")


def test_all_in_memory(root):
    found = images.find(root, "val")
    pixels, labels = images.in_memory(found, 16)
    assert len(labels) == len(found.labels) - 2  # one is cut off, one is text
    assert (pixels.shape[1:], pixels.dtype) == ((16, 16, 3), np.uint8)
    with Image.open(found.paths[0]) as image:
        expected = np.asarray(image.convert("RGB").resize((16, 16)))
    np.testing.assert_array_equal(pixels[0], expected)
    assert labels[0] == 0
