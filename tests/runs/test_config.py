"""One configuration: the same words mean the same search on the command line and in Python."""

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from conftest import planted_table
from hypothesis import given, settings
from hypothesis import strategies as st

import weaknas_jax as wn
from weaknas_jax import ConfigError, SearchConfig, save_table, search_table
from weaknas_jax.cli import configure, search
from weaknas_jax.cli.flags import NAMES, values
from weaknas_jax.core import protocol
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.report import run_folder
from weaknas_jax.runs.config import FIELDS
from weaknas_jax.runs.prepare import prepare
from weaknas_jax.search import defaults
from weaknas_jax.search.methods import CHOICES, METHODS, PARTS
from weaknas_jax.spaces.registry import SPACES

FLAGS = flags.FLAGS
CASES = [("weaknas", name) for name in PREDICTORS]
CASES += [(name, None) for name, of in METHODS.items() if not of.predictor]


def words(method, predictor):
    return {"method": method} | ({"predictor": predictor} if predictor else {})


def flagged(**given):
    """The values of all flags of a command line."""
    line = ["search", *(f"--{name}={value}" for name, value in given.items())]
    with flagsaver.flagsaver():
        FLAGS.unparse_flags()
        FLAGS(line)
        return values()


@pytest.mark.parametrize("space", [*SPACES, "table"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1] or case[0])
def test_command_line_and_python_resolve_to_the_same(case, space):
    given = words(*case) | {"seed": 3, "top": 40}
    by_flags = configure.search_config(flagged(**given), space)
    assert by_flags.resolve(space, 5000) == SearchConfig(**given).resolve(space, 5000)
    usual = defaults.of(case[0], case[1], space)
    resolved, _ = SearchConfig(**given).resolve(space, 5000)
    assert (resolved.init, resolved.seeds, resolved.stop) == (usual.init, usual.seeds, usual.stop)
    own = {name: value for name, value in usual.numbers.items() if name in resolved.numbers}
    assert own.items() <= resolved.numbers.items()
    assert resolved.resolve(space, 5000)[0] == resolved


@pytest.mark.parametrize(
    "case",
    [
        ("weaknas", "linear"),
        pytest.param(("weaknas", "gp"), marks=pytest.mark.slow),
        pytest.param(("lanas", None), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_command_line_and_python_search_alike(case, tmp_path, capsys):
    given = words(*case) | {"seeds": 2, "init": 4, "per_round": 3, "budget": 13, "seed": 5}
    given |= {"exploration": 0.3} if case[0] == "lanas" else {"noise": 0.4}
    save_table(tmp_path / "t.npz", planted_table(noise=0.5))
    line = {"table": tmp_path / "t.npz", "out": tmp_path / "o"} | given
    with flagsaver.flagsaver():
        FLAGS.unparse_flags()
        FLAGS(["search", *(f"--{name}={value}" for name, value in line.items())])
        assert search.main(["search"]) == 0
    found = search_table(wn.load_table(tmp_path / "t.npz"), **given)
    stored = run_folder.load_trace(tmp_path / "o")
    np.testing.assert_array_equal(found.trace.queried, stored.queried)
    np.testing.assert_array_equal(found.trace.scores, stored.scores)
    printed = capsys.readouterr().out.splitlines()
    assert set(str(found).splitlines()[:4]) <= set(printed)


def test_every_setting_and_number_is_a_flag_and_none_twice():
    numeric = {name for records in PARTS.values() for of in records.values() for name in of.numbers}
    assert {"exploration", "noise", "beta"} <= numeric
    assert numeric | set(FIELDS) <= set(NAMES)
    assert not numeric & set(FIELDS)
    assert set(CHOICES) | set(protocol.CHOICES) <= set(FIELDS)


def test_defaults_of_a_space_are_those_of_both():
    """In Python the Gaussian process had other defaults on NAS-Bench-101 than by its command."""
    resolved, _ = SearchConfig().resolve("nasbench101", 423_624)
    assert (resolved.init, resolved.per_round) == (20, 10)
    assert (resolved.numbers["beta"], resolved.features) == (2.0, "space")
    resolved, _ = SearchConfig(predictor="gp").resolve("nasbench101", 423_624)
    assert resolved.numbers["noise"] == 0.3
    assert wn.methods.make("gp", space="nasbench101").settings["init"] == 20
    assert wn.methods.make("gp").settings["init"] == 1


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 2000), case=st.sampled_from(CASES), space=st.sampled_from([*SPACES, "x"])
)
def test_defaults_fit_a_space_of_any_size(size, case, space):
    resolved, notes = SearchConfig(**words(*case)).resolve(space, size)
    resolved.check(size)
    assert resolved.budget <= size
    assert bool(notes) == (defaults.of(*case, space).budget > size)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"method": "magic"}, "method=magic: choose one of weaknas"),
        ({"protocol": "kind"}, "protocol=kind: choose one of honest, paper"),
        ({"init": 0}, "init=0: give at least 1"),
        ({"init": 2.5}, "init=2.5: give a whole number"),
        ({"seed": -1}, "seed=-1: give at least 0"),
        ({"label_noise": float("nan")}, "label_noise=nan: give at least 0"),
        ({"budget": 5, "init": 9}, "budget=5 is less than init=9: raise budget or lower init"),
        ({"budget": 99}, "budget=99 is more than the 64 architectures of the table"),
        ({"beta": -1.0}, "beta=-1.0: give a finite number, not below 0"),
        ({"colour": 1.0}, "colour=1.0: method=weaknas .* have no such setting"),
        ({"acquisition": "ucb", "predictor": "knn"}, "acquisition=ucb needs a deviation"),
        ({"per_round": 9, "top": 4, "predictor": "knn"}, r"per_round=9 \(M\) is more than top=4"),
    ],
)
def test_bad_settings_are_named_as_keywords_and_as_flags(given, says):
    with pytest.raises(ConfigError, match=says) as raised:
        search_table(planted_table(), **given)
    name = next(iter(given))
    assert raised.value.flags.startswith(f"--{name}=")


def test_a_table_without_test_scores_has_other_defaults():
    resolved, _ = SearchConfig().resolve("table", 64, test=False)
    assert (resolved.target, resolved.report) == ("valid", "best_valid")
    with pytest.raises(ConfigError, match="target=test: the table has no field 'test'"):
        SearchConfig(target="test").resolve("table", 64, test=False)


def test_feature_blocks_are_built_for_what_reads_them():
    table = planted_table()
    blocks = {
        case: set(prepare(table, SearchConfig(**words(*case), budget=20)).problem.space.features)
        for case in [("random", None), ("weaknas", "linear"), ("weaknas", "gp")]
    }
    assert blocks["random", None] == blocks["weaknas", "linear"] == set()
    assert blocks["weaknas", "gp"] >= {"slots", "effects", "counts", "categories", "tallies"}
