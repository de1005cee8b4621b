"""Errors for flags that the searches of a command line do not read.

Which flags are read follows from the registries: the keywords of the chosen method, predictor,
acquisition and sampling. With several searches a flag is accepted if one of them reads it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags

from weaknas_jax.cli.configure import NUMBERS, NUMERIC
from weaknas_jax.search import defaults, methods
from weaknas_jax.search.label_transforms import TRANSFORMS
from weaknas_jax.search.methods import METHODS
from weaknas_jax.search.sampling import SAMPLINGS

Values = Mapping[str, Any]

_NEEDS = {
    **dict.fromkeys(("predictor", "features", "without"), "predictor"),
    **{name: name for name in ("near_best", "pseudo_labels", "top", "top_end", "chunk")},
    "label_transform": "transform",
    "normalize": "transform",
    "acquisition": "acquisition",
    "sampling": "sampler",
    "predicted_top": "prediction",
    "dynamics": "prediction",
}
"""The keyword of a method that each flag sets; ``prediction``: the method predicts."""


def refuse(names: Iterable[str], searches: Iterable[tuple[Values, int]]) -> None:
    """Raises ValueError where no search reads a flag; names the flag and the reason.

    Args:
      names: flags of the command line.
      searches: for each search the values of all flags, and the number of architectures.
    """
    searches, names = list(searches), list(names)
    reasons = [unread(values) for values, _ in searches]
    idle = [name for name in names if all(name in unread_here for unread_here in reasons)]
    if idle:
        raise ValueError("; ".join(reasons[0][name] for name in idle) + "; leave it out")
    for values, size in searches:
        _check_bounds(names, values, size)


def refuse_in_one_search() -> None:
    """`refuse` for a command that runs one search and does not measure its dynamics."""
    names = {*_NEEDS, *NUMERIC, "method"}
    values = {n: flags.FLAGS[n].value if n in flags.FLAGS else None for n in names}
    reasons = _of_method(values | {"dynamics": False})
    if METHODS[values["method"]].predictor:  # `methods.make` checks its numeric settings
        reasons = {name: why for name, why in reasons.items() if name not in NUMERIC}
    if idle := present(name for name in reasons if name in flags.FLAGS):
        raise ValueError("; ".join(reasons[name] for name in idle) + "; leave it out")


def present(names: Iterable[str]) -> list[str]:
    """Those of the flags ``names`` that are on this command line."""
    return [name for name in names if flags.FLAGS[name].present]


def unread(values: Values) -> dict[str, str]:
    """The flags that a search does not read, each with the reason."""
    return _of_method(values) | of_table(values)


def of_table(values: Values) -> dict[str, str]:
    """The flags that --table overrides, each with the reason."""
    if values["table"] is None:
        return {}
    idle = [n for n in ("space", "dataset", "table_version") if values[n] != "table"]
    return {n: f"--{n}={values[n]}: --table={values['table']} is searched" for n in idle}


def refuse_beside_table(values: Values) -> None:
    """Raises ValueError where this command line gives flags that --table overrides."""
    reasons = of_table(values)
    if idle := present(reasons):
        raise ValueError("; ".join(reasons[name] for name in idle) + "; leave it out")


def _of_method(values: Values) -> dict[str, str]:
    method, predictor = values["method"], values["predictor"]
    reads, method_flag = methods.reads(method, predictor), f"--method={method}"
    reason = "does not read it" if "prediction" in reads else "has no predictor"
    idle = {n: f"--{n}: {method_flag} {reason}" for n, need in _NEEDS.items() if need not in reads}
    if "chunk" in idle:
        idle["chunk"] = f"--chunk: {method_flag} scores the whole space at once, or not at all"
    if not METHODS[method].predictor:
        numeric, chosen = METHODS[method].numbers, method_flag
        if "features" in reads:
            idle = {k: v for k, v in idle.items() if k not in ("features", "without")}
    else:
        usual = defaults.of(method, predictor)
        choices = {n: values[n] or getattr(usual, n) for n in methods.CHOICES}
        chosen = f"--predictor={predictor}"
        by_choice = [f"--{n}={choices[n]}" for n in ("acquisition", "sampling")]
        numeric = {
            n for choice in (method_flag, chosen, *by_choice) for n in NUMBERS.get(choice, ())
        }
        idle |= _of_choices(values, choices, reads, usual.quick)
        chosen = " ".join((chosen, *by_choice))
    for name in sorted(set(NUMERIC) - set(numeric)):
        idle[name] = f"--{name}={values[name]}: {chosen} has no such setting"
    return idle


def _of_choices(values: Values, choices: Values, reads: set[str], quick: bool) -> dict[str, str]:
    """The flags that the choices of a method with a predictor leave unread, with reasons."""
    idle, predictor = {}, f"--predictor={values['predictor']}"
    measured = not quick if values["dynamics"] is None else values["dynamics"]
    if not SAMPLINGS[choices["sampling"]].in_top and not measured:
        why = f"--sampling={choices['sampling']} takes the best, whatever N is"
        idle |= {name: f"--{name}={values[name]}: {why}" for name in ("top", "top_end")}
    if TRANSFORMS[choices["label_transform"]].by_table is None:
        why = f"--label_transform={choices['label_transform']} uses only the order of labels"
        idle["normalize"] = f"--normalize: {why}"
    if "features" not in reads:
        why = f"{predictor} reads the encoding, not feature blocks"
        idle |= {name: f"--{name}={values[name]}: {why}" for name in ("features", "without")}
    if "chunk" not in reads:
        idle["chunk"] = f"--chunk: {predictor} scores the space without chunks"
    return idle


def _check_bounds(names: Iterable[str], values: Values, size: int) -> None:
    """Raises ValueError where the value of a flag is larger than can have an effect."""
    top, end, chunk = values["top"], values["top_end"], values["chunk"]
    if {"top", "top_end"} & set(names) and end is not None and end > top:
        raise ValueError(f"--top_end={end} is above --top={top}, where N starts; lower --top_end")
    most = -(-size // 8) * 8
    if "chunk" in names and chunk is not None and chunk > most:
        raise ValueError(
            f"--chunk={chunk}: the space has {size:,} architectures; give at most {most}"
        )
    if "overwrite" in names and values["overwrite"] and values["out"] is None:
        raise ValueError("--overwrite needs --out=FOLDER, the experiment to replace")
