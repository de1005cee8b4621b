"""Text of ``--help``: flags in groups, and the defaults that depend on a choice."""

import textwrap
from collections.abc import Collection, Sequence
from typing import NamedTuple

from absl import flags

from weaknas_jax.cli.configure import NUMBERS, NUMERIC
from weaknas_jax.core import called, protocol
from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.search import defaults, methods
from weaknas_jax.spaces.registry import SPACES

_WIDTH = 100
GROUPS: dict[str, Collection[str]] = {
    "search space": (
        *("space", "dataset", "table", "table_version", "constraint", "cost", "minimize"),
        *("flops", "encoding", "count", "width", "image_size", "arch"),
    ),
    "evaluation": (
        *("evaluator", "command", "jobs", "oracle", "oracle_size", "weights", "imagenet"),
        *("folder", "images", "recalibrate", "batch", "data_seed", "how", "cache"),
        *("workers", "mode", "retries", "timeout", "pool", "refresh"),
    ),
    "method and predictor": (
        *("method", "predictor", *methods.CHOICES, "features", "without"),
        *("near_best", "pseudo_labels"),
    ),
    "sizes of a search": ("init", "per_round", "top", "top_end", "budget", "stop"),
    "answer of a run": ("answer", "repeat_top"),
    "numeric settings: used by, and defaults": NUMERIC,
    "protocol": ("protocol", *protocol.CHOICES, "label_noise"),
    "runs and seeds": ("seeds", "runs", "repeats", "first_run", "seed"),
    "results": ("out", "overwrite", "resume", "checkpoint_every", "save_every", "dynamics"),
    "devices and memory": ("devices", "lanes", "chunk", "memory", "matmul_precision"),
}
"""Flags of all commands by topic; flags in no group are specific to a command."""
SEARCH = ("label_transform", "acquisition", "sampling")
SIZES = (*SEARCH, "init", "per_round", "budget", "stop", "seeds")


class About(NamedTuple):
    """A command.

    Attributes:
      line: its name as in the docstring of its module, such as ``weaknas search``.
      doc: docstring of its module.
      names: names of its flags.
      depending: flags whose defaults depend on method and predictor.
    """

    line: str
    doc: str
    names: Collection[str]
    depending: Sequence[str] = ()


def text(about: About) -> str:
    """The whole help text of a command."""
    specific = [n for n in about.names if not any(n in names for names in GROUPS.values())]
    groups = {"of this command": specific, **GROUPS}
    parts = [description(about)]
    for title, names in groups.items():
        lines = [_flag(name, name in NUMERIC) for name in names if name in about.names]
        if lines:
            parts.append("\n".join([f"{title}:", *lines]))
    if about.depending:
        parts.append(_depending(about.depending))
    return "\n\n".join(parts)


def description(about: About) -> str:
    """The docstring of a command, under the name by which it was called."""
    return about.doc.strip().replace(about.line, called.line())


def _flag(name: str, numeric: bool) -> str:
    """A flag with its values, meaning and default."""
    flag = flags.FLAGS[name]
    values, kind = getattr(flag.parser, "enum_values", None), flag.flag_type()
    if kind == "bool":
        head = f"  --[no]{name}"
    else:
        head = f"  --{name}=" + ("|".join(values) if values else _KINDS.get(kind, "TEXT"))
    description_ = " ".join(flag.help.split())
    if values:  # absl puts them before the help
        description_ = description_.removeprefix(f"<{'|'.join(values)}>: ")
    if numeric:
        users = ((user[2:], numbers[name]) for user, numbers in NUMBERS.items() if name in numbers)
        description_ = ", ".join(f"{user} ({default:g})" for user, default in users)
        return _wrapped(f"{head}  {description_}", 8)
    if flag.default is not None and "default:" not in description_.lower():
        default = flag.default
        default = ",".join(map(str, default)) if isinstance(default, list) else default
        default = {True: "yes", False: "no"}[default] if kind == "bool" else default
        description_ += f" Default: {default}."
    return _wrapped(head, 6) + "\n" + textwrap.fill(description_, _WIDTH, initial_indent=" " * 6,
                                                   subsequent_indent=" " * 6)  # fmt: skip


_KINDS = {"int": "N", "float": "X", "comma separated list of strings": "A,B"}


def _wrapped(line: str, indent: int) -> str:
    words = line.replace("|", "| ") if len(line) > _WIDTH else line
    lines = textwrap.wrap(words, _WIDTH, initial_indent="  ", subsequent_indent=" " * indent,
                          break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return "\n".join(lines).replace("| ", "|")


def _depending(names: Sequence[str]) -> str:
    """Defaults by method and predictor; choices with the same defaults share a line."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for space in (None, *SPACES):
        for choice, values in _choices(space, names):
            usual = dict(_choices(None, names))[choice]
            if space is None or values != usual:
                rows.setdefault((space or "", *values), []).append(choice)
    lines = [("", ("", *names))] + [
        (", ".join(choices), values) for values, choices in rows.items()
    ]
    widths = [max(len(values[i]) for _, values in lines) for i in range(1, len(names) + 1)]
    text_ = ["defaults by --predictor, or by --method where it has no predictor:"]
    for title, (where, *values) in lines:
        if title:
            text_.append(textwrap.fill(title + f" (on {where})" * bool(where), _WIDTH))
        cells = [value.ljust(width) for value, width in zip(values, widths, strict=True)]
        text_.append(("    " + "  ".join(cells)).rstrip())
    for name in PREDICTORS:
        if own := defaults.of("weaknas", name).numbers:
            text_.append(
                f"numeric settings with {name}: " + ", ".join(f"{k}={v:g}" for k, v in own.items())
            )
    return "\n".join(text_)


def _choices(space: str | None, names: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Predictors, and methods without one, each with its defaults of the flags ``names``."""
    rows = []
    for predictor in PREDICTORS:
        usual = defaults.of("weaknas", predictor, space)
        rows.append((predictor, tuple(str(getattr(usual, name)) for name in names)))
    for method, record in methods.METHODS.items():
        if not record.predictor:
            usual = defaults.of(method, None, space)
            values = ("-" if n in methods.CHOICES else str(getattr(usual, n)) for n in names)
            rows.append((method, tuple(values)))
    return rows
