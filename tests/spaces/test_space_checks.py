"""What is no space is refused in one sentence, before anything is compiled."""

import jax.numpy as jnp
import numpy as np
import pytest

from weaknas_jax import Space, jobs
from weaknas_jax.core.types import check_space
from weaknas_jax.jobs.driver import Driver
from weaknas_jax.search import methods
from weaknas_jax.spaces.choices import Choices, integer

METHOD = methods.make("gp", budget=4, init=2, per_round=1)
GOOD = np.arange(12.0).reshape(6, 2)
WRONG = [
    ({"a": [1, 2]}, "space: give Choices, or a Space of an encoding .*; this is a dict"),
    (GOOD, "this is a ndarray"),
    (jnp.asarray(GOOD), "space: give Choices, or a Space"),
    ([{"a": 1}], "this is a list"),
    (None, "this is a NoneType"),
    (Space, "this is a type"),
    (Space(jnp.asarray(GOOD).at[3, 1].set(jnp.nan)), "encoding has a value in row 3 that is not"),
    (Space(jnp.asarray(GOOD).at[0, 0].set(jnp.inf)), "encoding has a value in row 0"),
    (Space(GOOD * 1e300), "not a finite number"),
    (Space(jnp.arange(5.0)), r"encoding must be an array \[N, D\] .*, not \[5\]"),
    (Space(jnp.zeros((0, 3))), r"encoding must be an array .*, not \[0, 3\]"),
    (Space(jnp.zeros((3, 0))), r"not \[3, 0\]"),
    (Space(jnp.zeros((2, 3, 4))), r"not \[2, 3, 4\]"),
    (Space(np.array([["a", "b"]])), "encoding must be real numbers, not <U1"),
    (Space(GOOD + 1j), "real numbers, not complex"),
    (Space([[1.0, 2.0]]), r"encoding must be an array \[N, D\], not a list"),
    (Space("text"), "not a str"),
    (
        Space(GOOD, {"slots": GOOD[:5]}),
        r"features\['slots'\] must be an array \[6, d\]",
    ),
    (Space(GOOD, {"slots": GOOD * np.nan}), r"features\['slots'\] has a value"),
    (Space(GOOD, [GOOD]), "features must be arrays by name, not a list"),
    (Space(GOOD, neighbours=np.zeros((5, 2), int)), r"neighbours must be whole numbers \[N, d\]"),
    (Space(GOOD, neighbours=np.full((6, 2), 6)), "neighbours has a row number that is not below"),
    (Space(GOOD, prefixes=np.zeros((2, 6))), r"prefixes must be whole numbers \[L, N\]"),
]


@pytest.mark.parametrize(("space", "match"), WRONG)
def test_what_is_no_space_is_refused(space, match):
    for use in (lambda: Driver(METHOD, space), lambda: jobs.search(METHOD, float, space)):
        with pytest.raises(ValueError, match=match) as error:
            use()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [np.float32, np.int8, bool, jnp.bfloat16])
def test_real_numbers_of_any_kind_are_a_space(kind):
    check_space(Space(jnp.asarray(GOOD, kind), neighbours=np.full((6, 1), -1)))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda choices: Driver("gp", choices), "method: give one, .* not a str"),
        (lambda choices: Driver(METHOD, choices, pool=1.5), "pool=1.5: give a whole number"),
        (lambda choices: Driver(METHOD, choices, pool=0), "pool=0: give a whole number"),
        (lambda choices: Driver(METHOD, choices, pool=True), "pool=True"),
        (
            lambda choices: Driver(METHOD, choices, pool=3),
            "budget=4 is more than the 3 rows that are ranked at a time; give a larger pool",
        ),
    ],
)
def test_arguments_of_a_driver(make, match):
    with pytest.raises(ValueError, match=match):
        make(Choices({"a": integer(1, 9), "b": integer(1, 9)}))
