"""Networks of architectures by space; a new space is a new entry of `KINDS`."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from weaknas_jax.networks import mobilenet, nasbench101, nasbench201
from weaknas_jax.networks.answer import SUBNETWORKS, Answer, Source, read
from weaknas_jax.spaces import nasbench201 as cells201
from weaknas_jax.spaces.graphs import Graph
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config, cost, window
from weaknas_jax.spaces.nasbench101 import cells as cells101
from weaknas_jax.spaces.registry import SPACES

WIDTHS = (1.2, 1.0)
"""Width multipliers of the published supernets; the first is the default."""
_FAULTS = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""Errors of parsing an architecture, which may come from any source."""


class Kind(NamedTuple):
    """Networks of a space.

    Attributes:
      make: ``make(architecture, classes, width, rngs)``, the module of an architecture in the own
        form (`spaces.own_form`); raises ValueError if that is invalid.
      classes: number of classes of each data set; the first is the default.
      image_size: side of the images of each data set, pixels, likewise.
      name: ``name(architecture)``, its name in tables, as `spaces.registry` reads it.
    """

    make: Callable[[Any, int, float, nnx.Rngs], nnx.Module]
    classes: Mapping[str, int]
    image_size: Mapping[str, int]
    name: Callable[[Any], str]


class Plan(NamedTuple):
    """Choices of `build`, all filled in.

    Attributes:
      answer: the architecture.
      classes: number of classes.
      image_size: side of the intended images, pixels; others are possible.
      width: width multiplier of the supernet; None for spaces without one.
      usual_classes: number of classes of the data set.
    """

    answer: Answer
    classes: int
    image_size: int
    width: float | None
    usual_classes: int


def _nasbench201(form: Any, classes: int, width: None, rngs: nnx.Rngs) -> nnx.Module:
    if not isinstance(form, str):
        raise ValueError(f"is {form!r}; expected a string such as '|none~0|+|...|+|...|'")
    return nasbench201.Network(cells201.parse(form), classes, rngs)


def _nasbench101(form: Any, classes: int, width: None, rngs: nnx.Rngs) -> nnx.Module:
    if not isinstance(form, Mapping) or not {"matrix", "ops"} <= form.keys():
        raise ValueError(f"is {form!r}; expected an object of 'matrix' and 'ops'")
    return nasbench101.Network(cells101.parse(form["matrix"], form["ops"]), classes, rngs)


def _mobilenet(form: Any, classes: int, width: float, rngs: nnx.Rngs) -> nnx.Module:
    geometry = config.SupernetConfig(width_mult=width, classes=classes)
    return mobilenet.Network(geometry, _subnetwork(form, geometry), rngs)


def _subnetwork(form: Any, geometry: config.SupernetConfig) -> archs.Arch:
    if isinstance(form, Mapping) and "blocks" in form:
        return archs.from_net_config(geometry, form)
    if not isinstance(form, Mapping) or not {"ks", "e", "d"} <= form.keys():
        raise ValueError(f"is {form!r}; expected the lists 'ks', 'e' and 'd'")
    return archs.make(geometry, form["ks"], form["e"], form["d"])


def _name_of_cell(form: Mapping[str, Any]) -> str:
    return str(cells101.names(cells101.code(cells101.parse(form["matrix"], form["ops"])))[0])


def _name_of_subnetwork(form: Any) -> str:
    network = _subnetwork(form, config.mobilenet_v3())
    return str(window.names(archs.Arch(*(np.asarray(part)[None] for part in network)))[0])


KINDS = {
    "nasbench201": Kind(
        _nasbench201,
        classes={"cifar10": 10, "cifar100": 100, "imagenet16": 120},
        image_size={"cifar10": 32, "cifar100": 32, "imagenet16": 16},
        name=str,
    ),
    "nasbench101": Kind(
        _nasbench101,
        classes={"cifar10": 10},
        image_size={"cifar10": 32},
        name=_name_of_cell,
    ),
    SUBNETWORKS: Kind(
        _mobilenet,
        classes={"imagenet": 1000},
        image_size={"imagenet": 236},
        name=_name_of_subnetwork,
    ),
}
"""Kinds by the name of the space in tables."""


def plan(
    source: Source | Answer,
    *,
    run: int | None = None,
    classes: int | None = None,
    width: float | None = None,
) -> Plan:
    """The choices of `build`, with defaults filled in.

    Arguments and errors as in `build`.
    """
    answer = read(source, run)
    if answer.space not in KINDS:
        kinds = ", ".join(KINDS)
        raise answer.error("space", f"is {answer.space!r}; networks can be built for {kinds}")
    kind = KINDS[answer.space]
    if classes is not None and (isinstance(classes, bool) or classes < 1):
        raise ValueError(f"classes={classes}: give 1 or more")
    if width is not None and answer.space != SUBNETWORKS:
        raise ValueError(f"width={width}: an architecture of {answer.space} has none; leave it out")
    if width is not None and width not in WIDTHS:
        raise ValueError(f"width={width}: the published supernets have {WIDTHS}")
    sizes = (kind.classes, kind.image_size)
    default_values = [
        by_dataset.get(answer.dataset, next(iter(by_dataset.values()))) for by_dataset in sizes
    ]
    if answer.space == SUBNETWORKS and width is None:
        width = _width_of(answer)
    return Plan(answer, classes or default_values[0], default_values[1], width, default_values[0])


def graph(choices: Plan) -> Graph:
    """Nodes and edges of the architecture, to be drawn.

    >>> cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> best = {"format": "weaknas.best/2", "space": "nasbench201", "dataset": "cifar10"}
    >>> graph(plan({**best, "architecture": cell})).edges
    ((0, 1, 'nor_conv_3x3'), (0, 3, 'skip_connect'))

    Raises:
      AnswerError: the architecture is invalid; names the file and the field.
    """
    answer = choices.answer
    try:
        return SPACES[answer.space].graph(KINDS[answer.space].name(answer.architecture))
    except _FAULTS as error:
        raise answer.error("architecture", str(error)) from None


def _width_of(answer: Answer) -> float:
    """The width with the number of parameters in the table; by default the first."""
    parameters = answer.costs.get("params")
    for width in WIDTHS if parameters else ():
        geometry = config.mobilenet_v3(width)
        try:
            if (
                int(cost.parameters(geometry, _subnetwork(answer.architecture, geometry)))
                == parameters
            ):
                return width
        except _FAULTS:
            continue  # `build` reports the error
    return WIDTHS[0]


def build(
    source: Source | Answer | Plan,
    *,
    run: int | None = None,
    classes: int | None = None,
    width: float | None = None,
    rngs: nnx.Rngs | None = None,
) -> nnx.Module:
    """Builds the network of an architecture, with random initial weights.

    It maps images [B, H, W, 3] to logits [B, classes], and starts in NNX's training mode:
    ``network.eval()`` switches to running statistics.

    >>> cell = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    >>> best = {"format": "weaknas.best/2", "space": "nasbench201", "dataset": "cifar10"}
    >>> count({**best, "architecture": cell})
    316346

    Args:
      source: ``best.json``, the folder of a search, or the content of such a file (`answer.read`).
      run: number of the run, for a folder of many runs.
      classes: number of classes; None = that of the data set.
      width: width of a sub-network's supernet, 1.2 or 1.0; None = inferred from costs, else 1.2.
      rngs: random streams of the weights; None = seed 0.

    Raises:
      ValueError: the architecture cannot be built; names the file and the field.
    """
    if not isinstance(source, Plan):
        source = plan(source, run=run, classes=classes, width=width)
    answer = source.answer
    rngs = nnx.Rngs(0) if rngs is None else rngs
    try:
        return KINDS[answer.space].make(answer.architecture, source.classes, source.width, rngs)
    except _FAULTS as error:
        raise answer.error("architecture", str(error)) from None


def outline(source: Source | Answer | Plan, **choices: Any) -> nnx.Module:
    """The network of `build` with shapes instead of arrays; computes nothing."""
    source = source if isinstance(source, Plan) else plan(source, **choices)
    return nnx.eval_shape(lambda: build(source))


def count(source: Source | Answer | Plan | nnx.Module, **choices: Any) -> int:
    """Number of trainable parameters of a network or architecture, without running statistics.

    Args:
      source: as in `build`, or a module.
      **choices: as in `build`.
    """
    network = source if isinstance(source, nnx.Module) else outline(source, **choices)
    return sum(math.prod(shape) for shape in shapes(network).values())


def shapes(network: nnx.Module) -> dict[str, tuple[int, ...]]:
    """The shape of each trainable array, by its path in the module."""
    state = nnx.to_flat_state(nnx.state(network, nnx.Param))
    return {".".join(map(str, path)): tuple(leaf.shape) for path, leaf in state}


def output_shape(source: Plan, image_size: int) -> tuple[int, ...]:
    """The shape of the logits of one image.

    Raises:
      ValueError: the network does not accept images of that size; names valid sizes.
    """
    network = outline(source)
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    return nnx.eval_shape(lambda net, x: net(x), network, images).shape
