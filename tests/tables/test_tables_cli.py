"""``python -m weaknas_jax.tables``: what it says, what it makes, and what bad input is told."""

import io
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import planted_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weaknas_jax import TableError, load_table, save_table
from weaknas_jax.cli import search
from weaknas_jax.core import called
from weaknas_jax.tables import registry
from weaknas_jax.tables.__main__ import main
from weaknas_jax.tables.importers import kinds

ROOT = Path(__file__).parents[2]
CSV = "name,depth,op,valid,test\n" + "".join(
    f"n{i},{i % 5},{'abc'[i % 3]},{50 + i},{49 + i / 2}\n" for i in range(30)
)


@pytest.fixture
def say(capsys):
    """Runs a command in this process: its exit status, stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        status = main([str(a) for a in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with one file of each kind."""
    monkeypatch.chdir(tmp_path)
    Path("good.csv").write_text(CSV)
    save_table("good.npz", planted_table(runs=2, noise=1.0))
    np.savez("raw.npz", x=np.eye(3), acc=np.array([0.5, 0.6, 0.7]))
    np.savez("objects.npz", allow_pickle=True, valid=np.array([{}], dtype=object))
    np.save("one.npy", np.zeros(3))
    Path("empty.csv").touch()
    Path("noise.bin").write_bytes(bytes(range(256)))
    Path("wide.csv").write_text("depth,valid\n1,50\n", encoding="utf-16")
    Path("cut.npz").write_bytes(Path("good.npz").read_bytes()[:-30])
    Path("cut.pth").write_bytes(pickle.dumps({"meta_archs": []})[:-2])
    with zipfile.ZipFile("zip.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
    altered = dict(np.load("good.npz"))
    altered["valid"] += 1
    np.savez("altered.npz", **altered)
    Path("fractions.csv").write_text("depth,valid\n1,0.5\n2,0.6\n")
    Path("folder").mkdir()
    return tmp_path


def test_list_names_every_table(say):
    status, out, _ = say("list")
    assert status == 0
    for name in registry.names():
        assert name in out
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert rows["nasbench201/cifar100@v1.1"].split()[1:4] == ["15,625", "73.493", "73.513"]
    assert rows["nasbench201/imagenet16@v1.1"].endswith("  mean")
    assert rows["nasbench201/imagenet16@nats"].endswith("mean, single_run, run0, run1")


def test_info_of_a_shipped_table(say):
    status, out, _ = say("info", "nasbench201/cifar10")
    best = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|"
    assert status == 0
    assert out == say("info", "nasbench201/cifar10@v1.1")[1]
    for part in ("cifar10 v1.1", "15,625", "30, 0 .. 1", "91.607 %  row 6111  " + best, "row 1459"):
        assert part in out
    for part in ("extra params", "73306 .. 1531546", "packed/NOTICE", "MIT and Apache-2.0"):
        assert part in out
    assert registry.checksum("nasbench201/cifar10") in out
    assert "7,456 labels missing" in say("info", "nasbench201/cifar10@nats")[1]


def test_info_of_a_file(say, tmp_path):
    table = planted_table(runs=2)
    table.valid[:2] = np.nan
    table.valid[[5, 7]] = 99.0
    save_table(tmp_path / "t.npz", table)
    status, out, _ = say("info", tmp_path / "t.npz")
    assert status == 0
    assert "4 labels missing, 2 architectures have none" in out
    assert f"99.000 %  row 5  {table.names[5]} (2 tie)" in out
    assert f"99.000 %  row 7  {table.names[7]} (2 tie)" in out
    assert str(np.load(tmp_path / "t.npz")["sha256"]) in out
    assert "source" in out
    assert "not stated" in out


def test_verify_files_one_by_one(say, files):
    status, out, err = say("verify", "good.npz", "altered.npz", "good.csv", "none.npz")
    assert status == 2
    assert out.startswith("good.npz: ok, planted / sum, 64 architectures, ")
    lines = err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["altered.npz", "good.csv", "none.npz"]
    assert "checksum mismatch" in lines[0]
    assert "a CSV, not a canonical table" in lines[1]
    assert say("verify", "good.npz")[0] == 0


def test_import_a_csv_and_search_it(say, files):
    status, out, err = say("import", "good.csv", "--out=made.npz", "--one_hot=depth")
    assert (status, err) == (0, "")
    assert load_table("made.npz").encoding.shape == (30, 8)
    assert "depth: choice of 5 (0 | 1 | 2 | 3 | 4); op: choice of 3 (a | b | c)" in out
    assert "  depth: choice of 5 (0 | 1 | 2 | 3 | 4)\n  op: choice of 3 (a | b | c)\n" in out
    assert "best is        the highest" in out
    command = shlex.split(out.splitlines()[-1])
    assert command[:-1] == shlex.split(called.another("search"))
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["search", command[-1], "--method=random", "--seeds=1", "--out=run"])
        assert search.main(["nasbench"]) == 0
    assert Path("run", "summary.json").exists()


def test_import_arrays_by_other_names(say, files):
    assert (
        say("import", "raw.npz", "--out=m.npz", "--valid=acc", "--encoding=x", "--scale=100")[0]
        == 0
    )
    assert load_table("m.npz").valid.tolist() == [[50], [60], [70]]


def test_an_existing_file_is_kept_unless_told(say, files):
    Path("old.npz").write_text("old")
    status, _, err = say("import", "good.csv", "--out=old.npz")
    assert status == 2
    assert "--out=old.npz: exists; add --overwrite" in err
    assert Path("old.npz").read_text() == "old"
    assert say("import", "good.csv", "--out=old.npz", "--overwrite")[0] == 0
    assert len(load_table("old.npz")) == 30


def test_a_kind_is_told_by_content(files):
    shutil.copy("good.csv", "csv.npz")
    shutil.copy("good.npz", "npz.csv")
    shutil.copy("zip.pth", "pth.npz")
    shutil.copy("cut.pth", "pickle.csv")
    found = [kinds.kind_of(f"{k}") for k in ("csv.npz", "npz.csv", "pth.npz", "pickle.csv")]
    assert found == ["csv", "npz", "pth", "pth"]


BAD = {
    "no command": ([], "the following arguments are required"),
    "unknown command": (["make"], "invalid choice"),
    "no file": (["info"], "required: NAME|FILE"),
    "unknown option": (["list", "--all"], "unrecognized arguments: --all"),
    "shortened": (
        ["import", "good.csv", "--out=m.npz", "--over"],
        "unrecognized arguments: --over",
    ),
    "unknown table": (["info", "nasbench201/svhn"], "'nasbench201/svhn' is neither a shipped"),
    "unknown edition": (["info", "nasbench201/cifar10@v2"], "nasbench201/cifar10@nats"),
    "neither": (["info", "nasbench301"], "nasbench301: no such file; shipped tables are nasb"),
    "raw info": (["info", "raw.npz"], "raw.npz: field 'format' is ''"),
    "csv info": (["info", "good.csv"], "good.csv: a CSV, not a canonical table; make one of it by"),
    "missing": (["import", "none.csv", "--out=m.npz"], "none.csv: no such file"),
    "folder": (["import", "folder", "--out=m.npz"], "folder: a folder"),
    "empty": (["import", "empty.csv", "--out=m.npz"], "empty.csv: the file is empty"),
    "noise": (["import", "noise.bin", "--out=m.npz"], "noise.bin: neither .npz"),
    "UTF-16": (
        ["import", "wide.csv", "--out=m.npz"],
        "wide.csv: UTF-16 text; save",
    ),
    "cut": (["import", "cut.npz", "--out=m.npz"], "cut.npz: cannot be read, or is truncated"),
    "objects": (["import", "objects.npz", "--out=m.npz"], "objects.npz: holds pickled"),
    "one array": (["import", "one.npy", "--out=m.npz"], "one.npy: a single array"),
    "canonical": (["import", "good.npz", "--out=m.npz"], "good.npz: a canonical table already"),
    "no out": (["import", "good.csv"], "required: --out"),
    "out is a folder": (["import", "good.csv", "--out=folder"], "--out=folder: a folder"),
    "no out folder": (["import", "good.csv", "--out=no/m.npz"], "the folder no does not exist"),
    "itself": (
        ["import", "good.csv", "--out=good.csv", "--overwrite"],
        "--out=good.csv: the file to import itself",
    ),
    "not a factor": (["import", "good.csv", "--out=m.npz", "--scale=ten"], "--scale: 'ten' is not"),
    "no factor": (["import", "good.csv", "--out=m.npz", "--scale=0"], "--scale: '0' is not"),
    "empty name": (["import", "good.csv", "--out=m.npz", "--valid=a,,b"], "--valid: 'a,,b' has an"),
    "no column": (["import", "good.csv", "--out=m.npz", "--valid=acc"], "--valid=acc: no such"),
    "csv encoding": (
        ["import", "good.csv", "--out=m.npz", "--encoding=x"],
        "--encoding means nothing for good.csv",
    ),
    "empty out": (["import", "good.csv", "--out="], "--out=: a folder; name a file"),
    "long out": (["import", "good.csv", f"--out={'n' * 300}.npz"], "File name too long"),
    "device": (["import", "good.csv", "--out=/dev/null", "--overwrite"], "is a device"),
    "npz features": (
        ["import", "raw.npz", "--out=m.npz", "--features=x"],
        "--features means nothing for raw.npz",
    ),
    "pth scale": (
        ["import", "zip.pth", "--out=m.npz", "--scale=100"],
        "--scale means nothing for zip.pth",
    ),
    "pth data set": (
        ["import", "zip.pth", "--out=m.npz", "--dataset=svhn"],
        "unknown dataset 'svhn'; NAS-Bench-201 has cifar10, cifar100, imagenet16",
    ),
    "fractions": (["import", "fractions.csv", "--out=m.npz"], "add --scale=100"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_line(case, say, files):
    arguments, message = BAD[case]
    before = sorted(Path().iterdir())
    status, out, err = say(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(Path().iterdir()) == before


def test_a_full_disk_is_told(say, files, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("weaknas_jax.tables.__main__.save_table", full)
    status, _, err = say("import", "good.csv", "--out=m.npz")
    assert (status, err) == (
        2,
        "error: --out=m.npz: could not be written (No space left on device)\n",
    )


def test_without_torch_the_message_says_what_to_install(say, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    status, _, err = say("import", "cut.pth", "--out=m.npz")
    assert status == 2
    for part in ("needs PyTorch", "download.pytorch.org/whl/cpu", "pip install -e '.[official]'"):
        assert part in err


def test_in_a_process_of_its_own():
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "weaknas_jax.tables", *arguments],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "PATH": ""},
        )

    told, helped = run("info", "nothing"), run("import", "--help")
    assert told.returncode == 2
    assert told.stderr.startswith("error: nothing: no such file")
    assert helped.returncode == 0
    assert "4.7 GB" in helped.stdout


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    raw=st.binary(max_size=200), head=st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY", b"\x80"])
)
def test_any_bytes_are_of_a_kind_or_named(tmp_path, raw, head):
    path = tmp_path / "t"
    path.write_bytes(head + raw)
    try:
        kind = kinds.kind_of(path)
    except TableError:
        return
    assert kind in ("npz", "pth", "csv")
    assert main(["import", str(path), f"--out={tmp_path / 'o.npz'}"]) == 2 or kind == "csv"


FOREIGN = {
    "a page": (
        b"<!DOCTYPE html><html><body>404</body></html>",
        "HTML; a page in place",
    ),
    "a page after blanks": (b"\n  <html>", "HTML; a page in place"),
    "empty": (b"", "the file is empty"),
    "JSON": (b'{"valid": [1, 2]}', "JSON; save it as CSV"),
    "Parquet": (b"PAR1" + bytes(40), "a Parquet file; save it as CSV"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file; save it as CSV"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "a gzip archive; unpack it"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
    "half a zip": (b"PK\x03\x04" + bytes(80), "is truncated or corrupted"),
    "a half pickle": (b"\x80\x02}q\x00", r"as a \.pth|not a canonical|PyTorch|its MD5 ends"),
}
NAMES = ("nasbench201.npz", "NAS-Bench-201-v1_1-096897.pth", "nasbench_only108.tfrecord", "t.csv")


def archive(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as made:
        for member in members:
            made.writestr(member, "x")
    return content.getvalue()


FOREIGN["a workbook"] = archive(["[Content_Types].xml", "xl/workbook.xml"]), "an Office document"
FOREIGN["another archive"] = archive(["readme.txt"]), "a zip archive that holds 'readme.txt'"


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_file_under_a_tables_name_is_told(case, say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, message = FOREIGN[case]
    for name in NAMES:
        Path(name).write_bytes(content)
        for line in (["import", name, "--out=m.npz"], ["info", name], ["verify", name]):
            status, out, err = say(*line)
            assert (status, out) == (2, "")
            assert err.startswith("error: ")
            assert name in err
            assert err.count("\n") == 1
            assert re.search(message, err), err
        with pytest.raises(TableError, match=message):
            load_table(name)


@pytest.mark.parametrize("name", ["good.csv", "raw.npz", "zip.pth"])
def test_a_search_of_what_is_not_imported_says_how_to(name, files, capsys):
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["nasbench", f"--table={name}", "--out=run"])
        assert search.main(["nasbench"]) == 2
    error = capsys.readouterr().err
    assert called.another("table", "import", name, "--out=") in error
    assert error.count("\n") == 1
    assert not Path("run").exists()


def test_a_folder_and_an_interruption_are_told(say, files, monkeypatch):
    for command in (["info"], ["verify"]):
        status, _, err = say(*command, "folder")
        assert (status, err.count("\n")) == (2, 1)
        assert "folder: a folder" in err
    monkeypatch.setattr(kinds, "kind_of", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
    assert say("import", "good.csv", "--out=m.npz")[::2] == (130, "error: interrupted\n")
    assert not Path("m.npz").exists()


SEEDS = "seed,depth,op,valid,flops\n" + "".join(
    f"{seed},{depth},{op},{50 + depth + seed / 4},{depth * 100}\n"
    for depth in (1, 2, 3) for op in "abc" for seed in (0, 1)
)  # fmt: skip


def test_import_says_what_each_column_was_taken_for(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(SEEDS)
    status, out, _ = say("import", "t.csv", "--out=a.npz", "--extra=flops")
    assert status == 0
    for line in (
        "  seed: switch (0 or 1)\n",
        "  depth: ordered number, 3 levels (1 .. 3)\n",
        "  op: choice of 3 (a | b | c)\n",
        "note: depth: read as ordered .*--one_hot=depth",
        "note: seed: looks like .* --extra=seed, and as 9 rows .*--merge_repeats",
    ):
        assert re.search(re.escape(line).replace(r"\.\*", ".*"), out), (line, out)
    kept = load_table("a.npz").source
    assert kept.startswith("t.csv; features: seed: switch (0 or 1); depth: ordered number, 3")
    beside = ["import", "t.csv", "--out=b.npz", "--extra=flops,seed"]
    assert "note: 9 rows agree with another in all features" in say(*beside)[1]
    status, out, _ = say(*beside, "--merge_repeats", "--overwrite")
    assert "9 rows were merged into runs of 9 architectures" in out
    assert "rows agree" not in out
    table = load_table("b.npz")
    assert table.valid[:2].tolist() == [[51, 51.25], [51, 51.25]]
    assert table.extra["flops"].tolist() == [100] * 3 + [200] * 3 + [300] * 3
    assert table.extra["seed"].tolist() == [0.5] * 9
    assert table.columns["op"].tolist() == list("abc") * 3


def test_a_column_of_row_numbers_is_told(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i},{i % 7},{50 + i % 7}\n" for i in range(30))
    Path("t.csv").write_text("Unnamed: 0,width,valid\n" + rows)
    assert "--extra=Unnamed: 0" in say("import", "t.csv", "--out=t.npz")[1]
    Path("u.csv").write_text("where,width,valid\n" + rows)
    assert "note: where: looks like the number of a run" in say("import", "u.csv", "--out=u.npz")[1]
