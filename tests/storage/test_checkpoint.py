"""Checkpoints appear whole or not at all, and a damaged one gives way to the one before."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from weaknas_jax.storage.checkpoint import CheckpointError, Checkpoints


def content(number):
    rng = np.random.default_rng(number)
    return {
        "number": np.int32(number),
        "scores": rng.normal(size=(3, 50)).astype(np.float32),
        "seen": rng.random((3, 500)) < 0.5,
        "seconds": np.float64(1.5),
        "lane.0": rng.integers(0, 2**32, (3, 2), np.uint32),
    }


def assert_holds(folder, number):
    found = Checkpoints(folder).load()
    for name, array in content(number).items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


def test_the_latest_comes_back_and_two_are_kept(folder):
    assert Checkpoints(folder).load() is None
    kept = Checkpoints(folder)
    for number in range(4):
        kept.save(content(number))
    assert_holds(folder, 3)
    assert len([p for p in folder.iterdir() if p.is_dir()]) == 2
    Checkpoints(folder).save(content(9))  # goes on counting
    assert_holds(folder, 9)
    kept.remove()
    assert not folder.exists()
    assert Checkpoints(folder).load() is None


def latest_files(folder):
    latest = max((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
    return sorted(p for p in latest.rglob("*") if p.is_file())


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "empty", "garbage"])
def test_a_damaged_one_gives_way_to_the_one_before(folder, damage, tmp_path):
    """Whatever file of it is hit: what comes back is all of one checkpoint or of the other."""
    kept = Checkpoints(folder)
    for number in (1, 2):
        kept.save(content(number))
    shutil.copytree(folder, tmp_path / "whole")
    hits = 0
    for path in latest_files(folder):
        whole = path.read_bytes()
        bad = {
            "truncate": whole[: len(whole) // 2],
            "flip": whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1 if whole else 0]),
            "empty": b"",
            "garbage": os.urandom(max(1, len(whole))),
        }
        if damage == "flip" and whole:
            bad["flip"] += whole[len(whole) // 2 + 1 :]
        if damage == "remove":
            path.unlink()
        else:
            path.write_bytes(bad[damage])
        number = int(Checkpoints(folder).load()["number"])
        assert_holds(folder, number)
        hits += number == 1
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "whole", folder)
    assert hits > 0


def test_a_half_written_one_is_ignored(folder):
    kept = Checkpoints(folder)
    kept.save(content(1))
    half = folder / "2.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "d").write_bytes(b"half")
    (folder / "7").mkdir()  # a folder that nothing was written to
    assert_holds(folder, 1)
    after = Checkpoints(folder)
    after.save(content(3))
    assert_holds(folder, 3)


def test_nothing_whole_is_nothing(folder):
    kept = Checkpoints(folder)
    kept.save(content(1))
    for path in latest_files(folder):
        path.write_bytes(b"")
    assert Checkpoints(folder).load() is None


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_is_a_clear_error(folder, monkeypatch, code):
    kept = Checkpoints(folder)
    kept.save(content(1))

    def refuse(*arguments, **keywords):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(CheckpointError, match=rf"{folder}.*{os.strerror(code)}"):
        kept.save(content(2))
    monkeypatch.undo()
    assert_holds(folder, 1)


def test_a_full_disk_as_the_system_says_it(folder, tmp_path):
    """A process that may write no file above 1 KiB: the write itself fails, not a stand-in."""
    kept = Checkpoints(folder)
    kept.save(content(1))
    script = tmp_path / "write.py"
    script.write_text(
        "import resource, sys\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from weaknas_jax.storage.checkpoint import CheckpointError, Checkpoints\n"
        "kept = Checkpoints(Path(sys.argv[1]))\n"
        "kept.load()\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "try:\n"
        "    kept.save({'a': np.random.default_rng(0).random(100_000)})\n"
        "except CheckpointError as error:\n"
        "    print('refused:', error)\n"
    )
    done = subprocess.run(
        [sys.executable, script, folder], capture_output=True, text=True, check=False
    )
    reason = os.strerror(errno.EFBIG)
    expected = f"refused: {folder / '2'}: a checkpoint could not be written ({reason})"
    assert done.stdout.strip() == expected, done.stderr
    assert done.stderr == ""
    assert_holds(folder, 1)
