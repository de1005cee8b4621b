"""One answer to whether stored work is the work that goes on, wherever it is asked."""

import json
import subprocess
import sys

import pytest

from weaknas_jax.report import run_folder
from weaknas_jax.storage import identity, journal
from weaknas_jax.storage.identity import IdentityError

STORED = {"seed": 0, "method": {"name": "gp", "noise": 0.1}, "workers": 2}


def test_what_is_equal_or_free_goes_on():
    identity.check("here", STORED, json.loads(json.dumps(STORED)))
    identity.check("here", STORED, STORED | {"workers": 9}, free=["workers"])
    method = {"method": {"name": "gp", "noise": 0.2}}
    identity.check("here", STORED, STORED | method, free=["method.noise"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed was 0, is 1"),
        ({"method": {"name": "gp"}}, "method.noise was 0.1, is nothing"),
        ({"method": None}, 'method was {"name": "gp", "noise": 0.1}, is null'),
        ({"data": "x"}, 'data was nothing, is "x"'),
        ({"workers": 3, "seed": 1}, "seed was 0, is 1"),
    ],
)
def test_a_refusal_says_what_differs_what_may_and_how_to_go_on(change, said):
    with pytest.raises(IdentityError) as refused:
        identity.check("runs/a", STORED, STORED | change, free=["workers"], do="name another")
    line = f"runs/a: was started with other settings: {said}; only workers may differ; name another"
    assert str(refused.value) == line


def test_a_journal_says_that_the_number_of_workers_may_differ(tmp_path):
    with journal.opened(tmp_path / "j", {"seed": 0}):
        pass
    with (
        pytest.raises(
            IdentityError, match=r"j: was started with other settings: seed .* only workers may"
        ),
        journal.opened(tmp_path / "j", {"seed": 1}, free=["workers"]),
    ):
        pass


DIES = """
import os, sys
from pathlib import Path
from weaknas_jax.report import run_folder
from weaknas_jax.storage import journal
folder = Path(sys.argv[1])
with run_folder.locked(folder), journal.opened(folder / "journal", {"seed": 0}):
    print("locked", flush=True)
    sys.stdin.readline()
    os._exit(9)
"""


def test_a_lock_is_held_by_the_living_and_not_by_the_dead(tmp_path):
    line = [sys.executable, "-c", DIES, tmp_path]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(run_folder.FolderError, match=f"{tmp_path}: another process"),
            run_folder.locked(tmp_path),
        ):
            pass
        with (
            pytest.raises(journal.JournalError, match="journal: another process"),
            journal.opened(tmp_path / "journal", {"seed": 0}),
        ):
            pass
        other.communicate("\n")
    assert other.returncode == 9
    with run_folder.locked(tmp_path), journal.opened(tmp_path / "journal", {"seed": 0}):
        assert [path.name for path in tmp_path.iterdir()] == ["journal"]
