"""The command `weaknas members`: tables, picture, and what it refuses."""

import json
import shutil

import pytest
from conftest import planted_table
from helpers import calls, is_drawn

from weaknas_jax import save_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished search with the mixture."""
    path = tmp_path_factory.mktemp("members")
    save_table(path / "planted.npz", planted_table((4, 4, 4)))
    line = f"--space=table --table={path}/planted.npz --predictor=mixture --out={path}/A"
    line += " --init=5 --per_round=5 --budget=15 --seeds=2 --stop=budget --first_run=3"
    (answer,) = calls("search", line.split())
    assert answer.status == 0, answer.err
    return path / "A"


def other(folder, name, **flags):
    """A copy of a folder, with other flags in its configuration."""
    copy = folder.parent / name
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["flags"] |= flags
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def test_tables_and_picture_and_errors(folder, tmp_path):
    (tmp_path / "mine.png").write_text("mine")
    gp = other(folder, "gp", predictor="gp")
    chance = other(folder, "random", method="random")
    lines = [
        [folder, f"--out={tmp_path}/one.png"],
        [folder, "--run=all", f"--out={tmp_path}/all.svg"],
        [folder, "--run=4,3", f"--out={tmp_path}/one.png"],
        [gp],
        [chance],
        [folder, "--run=2"],
        [folder, "--run=last"],
        [folder, f"--out={tmp_path}/mine.png"],
        [tmp_path],
        [],
    ]
    one, every, both, *refused = calls("members", *lines, cwd=tmp_path)
    assert (one.status, every.status, both.status) == (0, 0, 0), one.err + every.err + both.err
    assert is_drawn(tmp_path / "one.png")
    assert (tmp_path / "all.svg").read_text().startswith("<?xml")
    assert one.out.startswith("mixture, planted / sum, run 3\n")
    assert "mean of 2 runs" in every.out
    assert both.out.splitlines()[:-1] == every.out.splitlines()[:-1]
    table = [line.split() for line in one.out.splitlines() if line.startswith("| ")]
    rows = [line for line in table if line[1].isdecimal()]
    assert [(line[1], line[3]) for line in rows] == 2 * [("0", "5"), ("1", "10"), ("2", "15")]
    for line in rows[:3]:
        weights = [float(cell) for cell in line[5::2] if cell]
        assert len(weights) == 4
        assert sum(weights) == pytest.approx(1, abs=2e-3)
    assert rows[3].count("|") == 10  # the mixture, its members, the constant model, the difference
    assert [answer.status for answer in refused] == [2] * len(refused)
    says = (
        f"{gp}: --predictor=gp is a single model, without members to weigh",
        f"{chance}: --method=random weighs no members; name a search with --predictor=mixture",
        "--run=2: the folder has the runs 3, 4",
        "--run=last: give numbers of runs, or all",
        "mine.png: this program did not draw it",
        "has no trace.npz; name the folder of an experiment",
        "name the folder of one experiment",
    )
    for answer, message in zip(refused, says, strict=True):
        assert message in answer.err
        assert answer.err.count("\n") == 1
    assert (tmp_path / "mine.png").read_text() == "mine"
    assert not (tmp_path / "members.png").exists()
