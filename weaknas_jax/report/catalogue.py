"""Documentation page of all methods, predictors and spaces, made from the registries.

python -m weaknas_jax.report.catalogue > docs/catalogue.md
"""

from collections.abc import Iterable, Mapping, Sequence

from weaknas_jax.predictors.registry import PREDICTORS
from weaknas_jax.search import defaults
from weaknas_jax.search.acquisition import ACQUISITIONS
from weaknas_jax.search.label_transforms import TRANSFORMS
from weaknas_jax.search.methods import METHODS
from weaknas_jax.search.sampling import SAMPLINGS
from weaknas_jax.spaces.registry import SPACES

_SIZES = ("label_transform", "acquisition", "sampling", "init", "per_round", "budget", "stop")
_SIZES += ("seeds",)


def markdown() -> str:
    """The whole page."""
    parts = [
        "# Methods, predictors, spaces\n\nMade from their records by "
        "`python -m weaknas_jax.report.catalogue`. Each name is a value of the flag of its "
        "section, and each number a flag of its own.",
        _section(
            "Methods (`--method`)",
            ("name", "what it is", "predictor", "neighbours", "numbers"),
            (
                (
                    name,
                    record.title,
                    _yes(record.predictor),
                    _yes(record.neighbours),
                    _numbers(record.numbers),
                )
                for name, record in METHODS.items()
            ),
        ),
        _section(
            "Predictors (`--predictor`)",
            ("name", "what it is", "reads", "deviation", "draws", "runs on", "numbers"),
            (
                (
                    name,
                    record.title,
                    record.reads,
                    _yes(record.deviation),
                    record.draws,
                    "host" if record.host else "device",
                    _numbers(record.numbers),
                )
                for name, record in PREDICTORS.items()
            ),
        ),
        _section(
            "Acquisitions (`--acquisition`)",
            ("name", "what it is", "needs", "numbers"),
            (
                (name, record.title, record.needs, _numbers(record.numbers))
                for name, record in ACQUISITIONS.items()
            ),
        ),
        _section(
            "Sampling (`--sampling`)",
            ("name", "what it is", "draws in the top N", "numbers"),
            (
                (name, record.title, _yes(record.in_top), _numbers(record.numbers))
                for name, record in SAMPLINGS.items()
            ),
        ),
        _section(
            "Label transforms (`--label_transform`)",
            ("name", "what it is"),
            ((name, record.title) for name, record in TRANSFORMS.items()),
        ),
        _section(
            "Spaces",
            ("name", "what it is", "architectures", "feature blocks", "kernel preset", "graphs"),
            (
                (
                    name,
                    record.title,
                    f"{record.size:,}" if record.size else "too many to list",
                    ", ".join(record.blocks),
                    record.preset,
                    _yes(record.graphs is not None),
                )
                for name, record in SPACES.items()
            ),
        ),
        _section("Defaults", ("choice", "on", *_SIZES, "numbers"), _default_rows()),
    ]
    return "\n\n".join(parts) + "\n"


def _default_rows() -> Iterable[Sequence[str]]:
    """Rows of the defaults of each choice, and of spaces where they differ."""
    choices = [("weaknas", name) for name in PREDICTORS]
    choices += [(name, None) for name, record in METHODS.items() if not record.predictor]
    for method, predictor in choices:
        general = defaults.of(method, predictor)
        for space in (None, *SPACES):
            specific = defaults.of(method, predictor, space)
            if space is not None and specific == general:
                continue
            sizes = [
                "-" if predictor is None and name in _SIZES[:3] else str(getattr(specific, name))
                for name in _SIZES
            ]
            yield (predictor or method, space or "any", *sizes, _numbers(specific.numbers))


def _section(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _yes(value: bool) -> str:
    return "yes" if value else "-"


def _numbers(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items()) or "-"


if __name__ == "__main__":
    print(markdown(), end="")
