"""Expressions mean what they mean in Python, on whole columns; what is not listed is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weaknas_jax.core import quoting
from weaknas_jax.spaces import expressions

COLUMNS = {
    "a": np.array([1, -2, 3, 0]),
    "b": np.array([2.0, 0.5, np.nan, -1.0]),
    "deep": np.array([True, False, True, False]),
    "op": np.array(["conv", "pool", "", "conv"]),
    "rate": np.array([0.1, None, 3, float("nan")], object),
    "act": np.array(["relu", None, "gelu", "relu"], object),
    "width": np.array(["auto", 16, None, True], object),
    "norm": np.array([True, None, False, True], object),
}


def value(text):
    return expressions.parse(text, "--it")(COLUMNS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", [1, -2, 3, 0]),
        ("a + 2 * -b", [-3, -3, math.nan, 2]),
        ("a // 2 + a % 2 - a / 4", [0.75, -0.5, 1.25, 0]),
        ("2 ** a", [2, 0.25, 8, 1]),
        ("a / a", [1, 1, 1, math.nan]),
        ("1 / a", [1, -0.5, 1 / 3, math.inf]),
        ("sqrt(a)", [1, math.nan, 3**0.5, 0]),
        ("log(abs(a)) + exp(0)", [1, 1 + math.log(2), 1 + math.log(3), -math.inf]),
        ("min(a, 0.75, b)", [0.75, -2, math.nan, -1]),
        ("max(a, 1)", [1, 1, 3, 1]),
        ("7", [7, 7, 7, 7]),
        ("9**9**9", [math.inf] * 4),
        ("rate * 2", [0.2, math.nan, 6, math.nan]),
        ("width + 1", [math.nan, 17, math.nan, 2]),
        ("op + 1", [math.nan] * 4),
        ("deep + 1", [2, 1, 2, 1]),
    ],
)
def test_numbers(text, expected):
    found = value(text)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < 1", "0101"),
        ("0 <= a < 3", "1001"),
        ("a < 1 or b > 1", "1101"),
        ("a > 0 and not b > 1", "0010"),
        ("True", "1111"),
        ("deep", "1010"),
        ("not deep and a", "0100"),
        ("b < 9", "1101"),  # absent: every comparison is False
        ("b != 2", "0101"),
        ("not b == 2", "0111"),
        ("b in (2, -1)", "1001"),
        ("b not in [2, -1]", "0100"),
        ("a in ()", "0000"),
        ("op == 'conv'", "1001"),
        ("'conv' != op", "0110"),
        ("op < 'd'", "1011"),
        ("op in ('pool', 3)", "0100"),
        ("op not in ('pool', 'conv')", "0010"),
        ("op == 3", "0000"),
        ("op != 3", "1111"),
        ("op < 3 or op >= 3", "0000"),
        ("op and a", "1100"),
        ("act == op or op == act", "0000"),
        ("act and True", "1011"),
        ("act == 'relu'", "1001"),
        ("act != 'relu'", "0010"),
        ("act not in ('relu',)", "0010"),
        ("width == 'auto' or width > 8", "1100"),
        ("width == True", "0001"),
        ("norm", "1001"),
        ("norm == False", "0010"),
        ("rate < 1 or act == 'gelu'", "1010"),
        ("(a < 1) == deep", "0000"),
    ],
)
def test_conditions(text, expected):
    found = value(text)
    assert found.dtype == bool or text == "norm"  # None among truths: numbers
    assert "".join("01"[bool(v == 1)] for v in found) == expected


def test_what_is_needed_is_named():
    expression = expressions.parse("min(b, a) < 3 and min in ('a',)", "x")
    assert expression.names == ("a", "b", "min")
    assert expression.text == "min(b, a) < 3 and min in ('a',)"
    assert expression == expressions.parse("min(b, a) < 3 and min in ('a',)", "x")
    with pytest.raises(AttributeError):
        expression.text = "a"


HOSTILE = [
    "",
    "  ",
    "__import__('os').system('true')",
    "a.__class__",
    "a[0]",
    "(lambda: 1)()",
    "f'{a}'",
    "[x for x in a]",
    "a if b else a",
    "(a := 3)",
    "print(a)",
    "abs(a)(b)",
    "abs(a, b)",
    "min(a)",
    "max(*a)",
    "min(a, b, key=a)",
    "a << 5",
    "a & b",
    "~a",
    "+a",
    "a @ b",
    "a is b",
    "a in b",
    "a in (b,)",
    "a in ('conv')",
    "'x' * 1000000000",
    "'x'",
    "not 'x'",
    "-'x' < 2",
    "{1: 2}",
    "{1}",
    "(1, 2)",
    "None",
    "...",
    "b'x' == a",
    "1j",
    "a <",
    "a < 3 # )\n)",
    "a; b",
    "a = 3",
    "import os",
    "await a",
    "yield",
    "\0",
    "\ud800",
    "1" * 500,
    "9" * 1999,
    "(" * 150 + "a" + ")" * 150 + " <",
    "-" * 500 + "1",
    "+".join(["a"] * 500),
    "not " * 300 + "a",
    "abs(" * 150 + "a" + ")" * 150,
    "a" * 3000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_input_is_refused(text):
    with pytest.raises(ValueError, match=r"^--it=x: ") as error:
        expressions.parse(text, "--it=x")
    assert type(error.value) is ValueError
    assert re.search("allowed are numbers|at most 2,000|nested more", str(error.value))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("params<<5", "'params<<5' is not allowed"),
        ("a < 1 and a.size > 2", "'a.size' is not allowed"),
        ("a < 1 and", "cannot be read"),
        ("a < 5 5", "cannot be read at '5'"),
        ("log(a, 2)", "log takes one value"),
        ("a in b", "'b' is no list; after 'in' give one"),
    ],
)
def test_the_offending_part_is_named(text, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        expressions.parse(text, "--it")


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("parms<5", {"params": [1], "row": [0]}, "no 'parms'; did you mean 'params'.*params, row"),
        ("zzz<5", {"params": [1]}, "no 'zzz'; There are: params"),
        ("x<5", {"x": np.array([(1, 2), None], object)}, r"'x' is \(1, 2\) somewhere"),
        ("x<5", {"x": np.array([1j])}, "'x' is 1j somewhere"),
    ],
)
def test_columns_that_cannot_be_used(text, columns, message):
    with pytest.raises(ValueError, match=f"^--it=x: .*{message}"):
        expressions.parse(text, "--it=x")(columns)


def test_the_result_is_the_callers_own():
    column = np.array([1.0, 2.0])
    expressions.parse("x", "x")({"x": column})[0] = 9
    assert column.tolist() == [1, 2]


NUMBERS = st.floats(-1e3, 1e3).map(lambda x: round(x, 3)) | st.sampled_from([0.0, 1.0, -1.0])
SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])


def arithmetic(*operators):
    """Of x, y and numbers; too small a tree to overflow."""

    def grown(inner):
        pair = st.tuples(inner, st.sampled_from(operators), inner).map(" ".join)
        extreme = st.tuples(st.sampled_from(["min", "max"]), inner, inner)
        return (
            pair.map("({})".format)
            | inner.map("(-{})".format)
            | inner.map("abs({})".format)
            | extreme.map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
        )

    leaves = st.sampled_from(["x", "y"]) | NUMBERS.map("({!r})".format)
    return st.recursive(leaves, grown, max_leaves=8)


CHAINS = st.tuples(*(arithmetic("+", "-", "*"), SIGNS) * 2, arithmetic("+")).map(" ".join)
CONDITIONS = st.recursive(
    CHAINS,
    lambda inner: (
        inner.map("(not {})".format)
        | st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join).map("({})".format)
    ),
    max_leaves=4,
)


def both(text, x, y):
    """The value here, and Python's; None where Python has none."""
    (found,) = expressions.parse(text, "x")({"x": np.array([x]), "y": np.array([y])})
    try:
        builtins = {"__builtins__": {}, "abs": abs, "min": min, "max": max}
        return found, eval(text, builtins, {"x": x, "y": y})
    except ZeroDivisionError:
        return found, None


@settings(deadline=None, max_examples=300)
@given(arithmetic("+", "-", "*", "/", "//", "%"), NUMBERS, NUMBERS)
def test_arithmetic_is_pythons(text, x, y):
    found, expected = both(text, x, y)
    assert expected is None or found == expected


@settings(deadline=None, max_examples=200)
@given(CONDITIONS, NUMBERS, NUMBERS)
def test_conditions_are_pythons(text, x, y):
    found, expected = both(text, x, y)
    assert found.dtype == bool
    assert found == expected


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="ab01.<>=!+-*/%()[]',\" \nandorti\\{}:@#~^&|", max_size=40))
def test_any_text_is_an_expression_or_an_error(text):
    columns = {"a": np.ones(3), "b": np.array(["u", "v", "w"])}
    try:
        found = expressions.parse(text, "--it")(columns)
    except ValueError:
        with pytest.raises(ValueError, match=r"^--it: "):
            expressions.parse(text, "--it")(columns)
    else:
        assert found.shape == (3,)


WORDS = {
    "number of layers": [1, 2, 3, 4],
    "lambda": [0, 1, 0, 1],
    "a`b": [4, 3, 2, 1],
    "µ": [1] * 4,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`number of layers` <= 2", "1100"),
        ("1 < `number of layers` < 4 and `lambda` == 1", "0100"),
        ("`a``b` in (4, 1)", "1001"),
        ("`µ` == 1", "1111"),
        ("min(`a``b`, `number of layers`) > 1", "0110"),
        ("`number of layers` is None", "0000"),
    ],
)
def test_any_name_can_be_written_in_backticks(text, expected):
    columns = {name: np.array(column) for name, column in WORDS.items()}
    expression = expressions.parse(text, "--constraint")
    assert set(expression.names) <= set(WORDS)
    assert "".join("01"[int(v)] for v in expression(columns)) == expected


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.strip))
@example("º")  # Python reads it as "o"
@example("ﬁlter")
def test_a_name_of_any_signs_is_read(name):
    text = f"{quoting.as_name(name)} > 1 and '`' == '`'"
    columns = {name: np.array([1, 2]), "other": np.array([3, 3])}
    assert expressions.parse(text, "x")(columns).tolist() == [False, True]


@pytest.mark.parametrize("text", ["`a", "``", "` `", "`a b` +", "`a b`.x", "f(`a b`)", "a == `"])
def test_backticks_that_are_wrong_are_named_as_written(text):
    with pytest.raises(ValueError, match=r"^what: .*allowed are numbers") as error:
        expressions.parse(text, "what")
    if "a b" in text:
        assert "`a b`" in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b is None", "0010"),
        ("b is not None", "1101"),
        ("b == None", "0010"),
        ("b != None", "1101"),
        ("b is None or b > 0", "1110"),
        ("act is None", "0100"),
        ("rate is None", "0101"),
        ("not b is None", "1101"),
        ("b + 1 is None", "0010"),
    ],
)
def test_what_is_absent_can_be_asked_for(text, expected):
    assert "".join("01"[bool(v)] for v in value(text)) == expected


@pytest.mark.parametrize("text", ["None", "b < None", "b in None", "None is b", "b is 1"])
def test_nothing_else_can_be_done_with_none(text):
    with pytest.raises(ValueError, match=r"^--it: .*allowed are numbers"):
        value(text)


def test_what_is_dropped_for_want_of_a_value_is_told():
    nan = np.nan
    columns = {"ratio": np.array([2, 4, 6, nan, nan]), "op": np.array(["a", "a", "a", "b", "a"])}

    def told(text):
        return expressions.parse(text, "what").remarks(columns)

    (line,) = told("ratio <= 4")
    assert line.startswith("what: 2 of 5 are dropped because 'ratio' has no value there")
    assert "(ratio is None or ...)" in line
    for text in ("ratio <= 4 and op == 'b'", "ratio <= 4 or op == 'b'"):
        (line,) = told(text)
        assert line.startswith("what: 1 of 5")
    for text in ("ratio is None or ratio <= 4", "op == 'a'", "ratio > 9"):
        assert told(text) == []
