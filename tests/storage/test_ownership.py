"""Nothing of somebody else's is ever replaced or removed, whatever lies in the folder."""

import contextlib
import io
import json
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import planted_table
from helpers import calls
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weaknas_jax import save_table
from weaknas_jax.cli import search, sweep
from weaknas_jax.measures.predictor_quality import Cell, Quality
from weaknas_jax.report import quality_folder, run_folder
from weaknas_jax.storage import checkpoint, files, ownership
from weaknas_jax.storage.checkpoint import CheckpointError
from weaknas_jax.storage.npz import write_npz
from weaknas_jax.storage.ownership import NotOurs

QUICK = ["--seeds=1", "--init=5", "--per_round=3", "--budget=8", "--method=random"]
OURS = (*run_folder.FILES, run_folder.PARETO)
NAMES = [
    *OURS,
    *quality_folder.FILES,
    *sweep.FILES,
    *("results.csv", "best.json", "journal.jsonl", "logs", "settings.json", "log.csv"),
    *("checkpoints", run_folder.CHECKPOINTS, f"{run_folder.CHECKPOINTS}-0", "weaknas.json"),
    *(
        "1",
        "2",
        "d",
        "_METADATA",
        "2.orbax-checkpoint-tmp",
        "dataset=cifar10",
        "top=8",
        ".writable",
    ),
    *("mine", "notes.md", ".config.json.abc"),
]


def archive(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


CONTENTS = [
    *(b"", b"mine\n", b"abc", b"0a1b2c3d", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b"\x89PNG"),
    *(b'{"format": "mine"}', b'{"format": 1, "flags": {}, "runs": [0]}', b"[" * 9999),
    *(b"predictor,n\n", b"| queries to optimum |\n", b"query,score\n1,2\n", b"PK\x03\x04"),
    archive(run=np.arange(3)),
    archive(format=np.array("mine"), valid=np.ones(3)),
]
CONTENT = st.sampled_from(CONTENTS) | st.binary(max_size=40)
LEAF = st.none() | CONTENT  # None = an empty folder
TREE = st.dictionaries(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join), LEAF, max_size=6
)


def plant(folder: Path, tree: dict[str, bytes | None]) -> dict[Path, bytes | None]:
    """Writes what of ``tree`` is not there yet; returns what it wrote."""
    planted = {}
    for name, content in tree.items():
        path = folder / name
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()
            else:
                with open(path, "xb") as file:
                    file.write(content)
            planted[path] = content
    return planted


def assert_there(planted: dict[Path, bytes | None]) -> None:
    for path, content in planted.items():
        in_ours = path.parent.name == run_folder.CHECKPOINTS
        if content is None and in_ours and "orbax-checkpoint-tmp" in path.name:
            continue  # an empty folder of Orbax's, as a killed process leaves it
        assert path.is_dir() if content is None else path.read_bytes() == content, path


@contextlib.contextmanager
def refusals():
    with contextlib.suppress(NotOurs, run_folder.FolderError, CheckpointError, OSError):
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "planted.npz"
    save_table(path, planted_table())
    return path


@pytest.fixture(scope="module")
def finished(table, tmp_path_factory):
    """An experiment of ours, and beside it its checkpoints as if it went on."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert call(f"--table={table}", f"--out={out}", *QUICK) == 0
    kept = run_folder.checkpoints(out)
    for number in range(3):
        kept.save({"seconds": np.float64(number)})
    return out


def call(*arguments, module=search):
    rest, axes = sweep.split([str(a) for a in arguments])
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["main", *rest])
        return search.main(["main"]) if module is search else sweep.main(["main"], axes)


def use_as_run_folder(folder: Path, experiment: Path) -> None:
    """All that is done with the folder of an experiment, but for the search."""
    config = json.loads((experiment / "config.json").read_bytes())
    results = {name: (experiment / name).read_bytes() for name in run_folder.FILES}
    for again in (False, True):
        with refusals():
            made = run_folder.prepare(str(folder), "x", may_hold_one=again)
            for anew in (True, False):
                run_folder.begin(made, config, anew)
                for name, content in results.items():  # as `run_folder.save`, without drawing
                    with files.replacing(made / name) as file:
                        file.write(content)
                run_folder.checkpoints(made, {}).remove()
    with refusals():
        run_folder.clear(folder)
    run_folder.discard(folder)


def use_as_other_folders(folder: Path, names: set[str]) -> None:
    """The same for a comparison of predictors, and for files that cannot prove themselves."""
    config = {"flags": {"seed": 0}, "label_transforms": {}, "table_sha256": "", "sessions": []}
    for again in (False, True):
        with refusals():
            made = quality_folder.prepare(str(folder), "x", again)
            quality_folder.begin(made, config)
            quality_folder.append(made, Cell("linear", 20, 0, Quality(0, {"kendall": 0.5})))
    for name in names:
        for write in (files.write_text, lambda path, text: write_npz(path, {"a": np.ones(2)})):
            with refusals():
                write(folder / name, "ours")
        with refusals():
            ownership.remove(folder / name)


@settings(max_examples=30, deadline=None)
@given(tree=TREE)
def test_what_lies_in_a_folder_stays(tree, finished):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        planted = plant(folder, tree)
        use_as_run_folder(folder, finished)
        assert_there(planted)
        use_as_other_folders(folder, {name.split("/")[0] for name in tree} | {"new.txt"})
        assert_there(planted)


@settings(max_examples=15, deadline=None)
@given(tree=TREE)
@example(tree={".weaknas-files": b"[" * 200_000})
def test_what_was_put_into_our_folder_stays_and_ours_goes(tree, finished):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "out"
        shutil.copytree(finished, folder)
        planted = plant(folder, tree)
        use_as_run_folder(folder, finished)
        assert_there(planted)
        left = {path for path in folder.rglob("*") if path.is_file()}
        marker = {folder / run_folder.CHECKPOINTS / "weaknas.json"}
        if not any(folder / name in planted for name in OURS):
            assert left <= planted.keys() | marker


def test_an_experiment_alone_goes_as_a_whole(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "out")
    run_folder.clear(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


FOREIGN = {
    "checkpoints/mine": b"p\n",
    "checkpoints/1/_METADATA": b"{}",
    "model/config.json": b'{"hidden": 8}',
    "dataset=cifar10.bak/summary.json": b"{}",
    "notes.md": b"mine",
    ".writable": b"mine",
}


@pytest.mark.parametrize("name", [*OURS, run_folder.CHECKPOINTS, f"{run_folder.CHECKPOINTS}/1"])
@pytest.mark.parametrize("how", [[], ["--overwrite"], ["--resume"]])
def test_what_is_in_the_way_is_named_before_anything_is_computed(
    name, how, table, tmp_path, capsys
):
    planted = plant(
        tmp_path, {f"out/{name}": b"mine", **{f"out/{k}": v for k, v in FOREIGN.items()}}
    )
    assert call(f"--table={table}", f"--out={tmp_path / 'out'}", *QUICK, *how) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "out" / name.split("/")[0]) in error.splitlines()[-1]
    assert "compiling" not in error
    assert_there(planted)


def test_a_search_leaves_what_is_beside_it(table, tmp_path, capsys):
    out = tmp_path / "out"
    planted = plant(out, FOREIGN)
    line = [f"--table={table}", f"--out={out}", *QUICK]
    assert call(*line) == 0
    assert call(*line) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert call(*line, "--overwrite") == 0
    assert call(*line, "--resume", "--seeds=2") == 0
    assert_there(planted)
    assert {p.name for p in out.iterdir()} == {k.split("/")[0] for k in FOREIGN} | {
        *run_folder.FILES
    }
    (out / "curve.png").write_bytes(b"a picture of my own")
    assert call(*line, "--overwrite") == 2
    assert f"{out}/curve.png: was not written by" in capsys.readouterr().err
    assert (out / "curve.png").read_bytes() == b"a picture of my own"


def test_a_sweep_removes_only_its_own(table, tmp_path, capsys):
    out = tmp_path / "out"
    line = [f"--table={table}", f"--out={out}", *QUICK]
    call_sweep = lambda *more: call(*line, *more, module=sweep)  # noqa: E731
    assert call_sweep("--budget=8,9") == 0
    planted = plant(out, FOREIGN | {"budget=8/notes": b"mine", "budget=9/checkpoints/1": None})
    assert call_sweep("--budget=10,11", "--overwrite") == 0
    assert_there(planted)
    assert [p.name for p in (out / "budget=8").iterdir()] == ["notes"]
    assert [p.name for p in (out / "budget=9").iterdir()] == ["checkpoints"]
    assert sorted(p.parent.name for p in out.glob("*/trace.npz")) == ["budget=10", "budget=11"]
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    edited = (out / "sweep.md").read_bytes() + b"my remarks\n"
    (out / "sweep.md").write_bytes(edited)
    assert call_sweep("--budget=12,13", "--overwrite") == 2
    assert f"{out}/sweep.md: was not written by" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in before} == before | {out / "sweep.md": edited}


def test_a_search_that_a_sweep_would_bury_is_not_replaced(table, finished, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(finished, out / "budget=8")
    before = (out / "budget=8" / "trace.npz").read_bytes()
    line = [f"--table={table}", f"--out={out}", *QUICK, "--budget=8,9"]
    assert call(*line, module=sweep) == 2
    assert f"--out={out}/budget=8: holds an experiment" in capsys.readouterr().err
    (out / "budget=8" / "config.json").unlink()
    assert call(*line, "--resume", module=sweep) == 2
    assert call(f"--table={table}", f"--out={out}/budget=8", *QUICK, "--resume") == 2
    assert (out / "budget=8" / "trace.npz").read_bytes() == before


def test_a_user_made_folder_is_not_discarded(table, tmp_path):
    (tmp_path / "out").mkdir()
    assert call(f"--table={table}", f"--out={tmp_path / 'out'}", *QUICK, "--memory=1") == 2
    assert (tmp_path / "out").is_dir()
    assert call(f"--table={table}", f"--out={tmp_path / 'new'}", *QUICK, "--memory=1") == 2
    assert not (tmp_path / "new").exists()


def as_version_0_1(folder: Path) -> None:
    """An experiment as that version left it."""
    config = json.loads((folder / "config.json").read_bytes())
    config.pop("checkpoints", None)
    (folder / ownership.LIST).unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    kept = folder / run_folder.CHECKPOINTS
    if kept.exists():
        kept.rename(folder / "checkpoints")
        (folder / "checkpoints" / "weaknas.json").unlink()
    picture = (folder / "curve.png").read_bytes()
    theirs = b"Matplotlib version3.10, https://matplotlib.org/"
    (folder / "curve.png").write_bytes(picture.replace(ownership.MARK.encode(), theirs))


def test_what_version_0_1_left_goes_on_and_may_be_replaced(finished, table, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    as_version_0_1(out)
    planted = plant(
        out, {"checkpoints/mine": b"p", "checkpoints/2/notes": b"p", "checkpoints/9": None}
    )
    stored = run_folder.stored_config(out)
    assert run_folder.checkpoints(out, stored).load()["seconds"] == 2
    assert run_folder.checkpoints(out).load() is None  # they are of another search
    assert call(f"--out={out}", "--resume", "--seeds=2") == 0
    assert run_folder.load_trace(out).run.tolist() == [0, 1]
    assert_there(planted)
    assert not (out / "checkpoints" / "3").exists()
    as_version_0_1(out)
    assert call(f"--table={table}", f"--out={out}", *QUICK, "--overwrite") == 0
    assert_there(planted)


def test_links_are_followed_and_stay(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "mine.npz"
    link.symlink_to(tmp_path / "disk" / "table.npz")
    save_table(link, planted_table())
    save_table(link, planted_table((3, 3)), overwrite=False)
    assert link.is_symlink()
    assert os.readlink(link) == str(tmp_path / "disk" / "table.npz")
    assert len(np.load(tmp_path / "disk" / "table.npz")["valid"]) == 9
    assert ownership.remove(link)
    assert link.is_symlink()
    round_ = tmp_path / "round"
    round_.symlink_to(round_)
    with pytest.raises(NotOurs, match="round: is a link that leads nowhere"):
        files.write_text(round_, "x")


def test_what_is_no_regular_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to_null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        places = {
            "pipe": "a pipe",
            "folder": "a folder",
            "socket": "a socket",
            "to_null": "a device",
        }
        for name, what in places.items():
            for overwrite in (False, True):
                with pytest.raises(NotOurs, match=rf"{name}: is {what} and no regular file"):
                    save_table(tmp_path / name, planted_table(), overwrite)
    assert stat.S_ISCHR(os.lstat("/dev/null").st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(places)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_are_kept_and_those_of_the_process(mask, tmp_path):
    before = os.umask(mask)
    try:
        save_table(tmp_path / "new.npz", planted_table())
        assert stat.S_IMODE((tmp_path / "new.npz").stat().st_mode) == 0o666 & ~mask
        (tmp_path / "new.npz").chmod(0o640)
        save_table(tmp_path / "new.npz", planted_table())
        assert stat.S_IMODE((tmp_path / "new.npz").stat().st_mode) == 0o640
    finally:
        os.umask(before)


def test_what_fails_leaves_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(NotOurs, match=r"a\.txt: was not written by weaknas_jax"):
        files.write_text(tmp_path / "a.txt", "ours")
    with pytest.raises(TypeError), files.replacing(tmp_path / "b.txt") as file:
        file.writelines([b"half", "of it"])
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    files.write_text(tmp_path / ("n" * 255), "the longest name there is")


def test_text_is_listed_before_it_appears(tmp_path):
    path = tmp_path / "page.md"
    for text in ("one", "two"):
        files.write_text(path, text)
    assert ownership.ours(path)
    with open(tmp_path / ownership.LIST, "a") as file:
        file.write('\n{"file": "page.md", "sha2')  # torn by a crash
    files.write_text(path, "three")
    path.write_text("one")  # as if the last writes had not come
    assert ownership.ours(path)
    path.write_text("mine")
    assert not ownership.remove(path)


def test_a_folder_without_our_marker_takes_no_checkpoint(tmp_path):
    folder = tmp_path / run_folder.CHECKPOINTS
    planted = plant(folder, {"1/_METADATA": b"mine", "mine": b"mine"})
    with pytest.raises(NotOurs, match=rf"{folder}: was not made by weaknas_jax"):
        checkpoint.Checkpoints(folder).save({"a": np.ones(2)})
    assert checkpoint.Checkpoints(folder).load() is None
    checkpoint.Checkpoints(folder).remove()
    assert_there(planted)


@pytest.mark.slow  # what is in the way of a search is quick, by the same module
def test_a_picture_is_drawn_anew_if_it_is_ours(finished, tmp_path):
    (tmp_path / "notes.png").write_text("mine")
    (tmp_path / "gone.png").write_text("mine")
    good = [f"--out={tmp_path}/mine.{ending}" for ending in ("png", "pdf", "svg")]
    cases = [[line] for line in (*good, *good)]
    cases += [[f"--out={tmp_path}/gone.png", "--overwrite"], [f"--out={tmp_path}/notes.png"]]
    bad = ["", "/dev/null", str(tmp_path), f"{tmp_path}/{'n' * 300}.png", "/nowhere/x.png"]
    cases += [[f"--out={name}", *more] for name in bad for more in ([], ["--overwrite"])]
    cases += [[f"--out={finished}/summary.json"]]
    answers = calls("plot", *([finished, *case] for case in cases))
    found = [(one.status, one.err) for one in answers]
    assert found[:7] == [(0, "")] * 7
    for code, error in found[7:]:
        assert code == 2
        assert error.startswith("error: ")
        assert error.count("\n") == 1
    assert "notes.png: this program did not draw it; add --overwrite" in found[7][1]
    assert (tmp_path / "notes.png").read_text() == "mine"
    assert (tmp_path / "gone.png").read_bytes().startswith(b"\x89PNG")
    assert stat.S_ISCHR(os.lstat("/dev/null").st_mode)
