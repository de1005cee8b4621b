"""Flags made from records: fields of `SearchConfig`, and the numeric settings of all choices."""

import dataclasses
import typing
from typing import Any

from absl import flags

from weaknas_jax.cli.configure import NUMBERS, NUMERIC
from weaknas_jax.runs.config import SearchConfig

flags.disclaim_key_flags()  # a flag belongs to the module that calls


def define(field: dataclasses.Field, **changed: Any) -> flags.FlagHolder:
    """The flag of a field of `SearchConfig`, with its help, values and bounds.

    Args:
      field: made by `config.setting`.
      **changed: ``default``, ``help`` or ``choices`` that differ for a command.
    """
    properties = {"default": field.default, **field.metadata, **changed}
    name, default, text = field.name, properties["default"], properties["help"]
    if properties["choices"]:
        return flags.DEFINE_enum(name, default, list(properties["choices"]), text)
    (kind,) = (t for t in typing.get_args(field.type) or (field.type,) if t is not type(None))
    if kind is bool:
        return flags.DEFINE_bool(name, default, text)
    if kind is str:
        return flags.DEFINE_string(name, default, text)
    numeric = {int: flags.DEFINE_integer, float: flags.DEFINE_float}[kind]
    return numeric(
        name, default, text, lower_bound=properties["least"], upper_bound=properties["most"]
    )


def define_named(name: str, **changed: Any) -> flags.FlagHolder:
    """The flag of a field of `SearchConfig` by its name; ``changed`` as in `define`."""
    (field,) = (f for f in dataclasses.fields(SearchConfig) if f.name == name)
    return define(field, **changed)


def define_numbers() -> None:
    """Defines a flag for each numeric setting of a method, predictor, acquisition or sampling."""
    for name in NUMERIC:
        defaults = {user[2:]: numbers[name] for user, numbers in NUMBERS.items() if name in numbers}
        users = ", ".join(f"{user} ({default:g})" for user, default in defaults.items())
        flags.DEFINE_float(name, None, f"Numeric setting of (default): {users}.")


def asked_numbers() -> dict[str, float]:
    """The numeric settings on this command line, by name."""
    values = {name: flags.FLAGS[name].value for name in NUMERIC}
    return {name: value for name, value in values.items() if value is not None}
