"""Conversion of weights to and from the published PyTorch supernets.

An explicit map of all tensors of a ``state_dict``: a missing or unused tensor, or one of another
shape, is an error that names it. Three historical spellings are read (``.mobile_inverted_conv.``
for ``.conv.``, and the shorter names of dynamic layers). Layouts: convolutions OIHW to HWIO, 1x1
ones and linear layers to [in, out], depthwise ones [C, 1, k, k] to [k, k, C]. PyTorch's
``num_batches_tracked`` is not stored, and written as 0.
"""

import dataclasses
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx

from weaknas_jax.spaces.mobilenet.config import SupernetConfig
from weaknas_jax.storage import checkpoint
from weaknas_jax.storage.npz import content_sha256
from weaknas_jax.storage.torch_file import read_plain
from weaknas_jax.supernets.mobilenet.modules import Norm, Squeeze
from weaknas_jax.supernets.mobilenet.supernet import Supernet

_CONFIG = "config"


class WeightsError(ValueError):
    """Tensors that do not fit the supernet; the message names them."""


class Entry(NamedTuple):
    """One tensor.

    Attributes:
      name: in the ``state_dict``.
      variable: its NNX variable; None = a count that is not stored.
      load, store: conversions from PyTorch's layout to ours, and back.
    """

    name: str
    variable: nnx.Variable | None
    load: Callable[[np.ndarray], np.ndarray] = np.asarray
    store: Callable[[np.ndarray], np.ndarray] = np.asarray


def entries(net: Supernet) -> Iterator[Entry]:
    """All tensors of the supernet, in the order of the ``state_dict``."""
    ends = net.ends
    yield _conv("first_conv.conv.weight", ends.stem)
    yield from _norm("first_conv.bn", ends.stem_norm)
    yield _depthwise("blocks.0.conv.depth_conv.conv.weight", ends.depthwise)
    yield from _norm("blocks.0.conv.depth_conv.bn", ends.depthwise_norm)
    yield _point("blocks.0.conv.point_linear.conv.weight", ends.project)
    yield from _norm("blocks.0.conv.point_linear.bn", ends.project_norm)
    for number, elastic in enumerate(net.blocks, 1):
        full, at = elastic.full, f"blocks.{number}.conv"
        yield _point(f"{at}.inverted_bottleneck.conv.conv.weight", full.expand)
        yield from _norm(f"{at}.inverted_bottleneck.bn.bn", full.expand_norm)
        sizes = net.config.kernels[::-1]
        names = [f"{a}to{b}_matrix" for a, b in itertools.pairwise(sizes)]
        for name, matrix in zip(names, elastic.smaller.matrices, strict=True):
            yield Entry(f"{at}.depth_conv.conv.{name}", matrix)
        yield _depthwise(f"{at}.depth_conv.conv.conv.weight", full.depthwise)
        yield from _norm(f"{at}.depth_conv.bn.bn", full.depthwise_norm)
        if full.squeeze is not None:
            yield from _squeeze(f"{at}.depth_conv.se.fc", full.squeeze)
        yield _point(f"{at}.point_linear.conv.conv.weight", full.project)
        yield from _norm(f"{at}.point_linear.bn.bn", full.project_norm)
    yield _point("final_expand_layer.conv.weight", ends.final_expand)
    yield from _norm("final_expand_layer.bn", ends.final_expand_norm)
    yield _point("feature_mix_layer.conv.weight", ends.feature_mix)
    yield Entry("classifier.linear.weight", ends.classifier, np.transpose, np.transpose)
    yield Entry("classifier.linear.bias", ends.classifier_bias)


def _conv(name: str, variable: nnx.Variable) -> Entry:
    return Entry(
        name, variable, lambda t: t.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1)
    )


def _point(name: str, variable: nnx.Variable) -> Entry:
    return Entry(name, variable, lambda t: t[:, :, 0, 0].T, lambda a: a.T[:, :, None, None])


def _depthwise(name: str, variable: nnx.Variable) -> Entry:
    return Entry(
        name,
        variable,
        lambda t: t[:, 0].transpose(1, 2, 0),
        lambda a: a.transpose(2, 0, 1)[:, None],
    )


def _norm(at: str, norm: Norm) -> Iterator[Entry]:
    yield Entry(f"{at}.weight", norm.scale)
    yield Entry(f"{at}.bias", norm.bias)
    yield Entry(f"{at}.running_mean", norm.mean)
    yield Entry(f"{at}.running_var", norm.var)
    yield Entry(f"{at}.num_batches_tracked", None)


def _squeeze(at: str, squeeze: Squeeze) -> Iterator[Entry]:
    for name in ("reduce", "expand"):
        yield _point(f"{at}.{name}.weight", getattr(squeeze, name))
        yield Entry(f"{at}.{name}.bias", getattr(squeeze, f"{name}_bias"))


def normal_form(name: str) -> str:
    """The name of a tensor, with variants of spelling unified.

    >>> normal_form("blocks.3.mobile_inverted_conv.point_linear.bn.bn.bias")
    'blocks.3.point_linear.bn.bias'
    >>> normal_form("blocks.3.conv.point_linear.bn.bias")
    'blocks.3.point_linear.bn.bias'
    """
    name = re.sub(r"^(blocks\.\d+)\.(mobile_inverted_conv|conv)\.", r"\1.", name)
    for part in ("bn", "conv", "linear"):
        name = name.replace(f".{part}.{part}.", f".{part}.")
    return name


def load(net: Supernet, tensors: Mapping[str, np.ndarray]) -> None:
    """Puts the tensors of a ``state_dict`` into a supernet, all or none.

    Raises:
      WeightsError: a tensor is missing, unused, duplicate or of another shape; names it.
    """
    by_form: dict[str, tuple[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        form = normal_form(name)
        if form in by_form:
            raise WeightsError(f"{name} and {by_form[form][0]} are the same tensor")
        by_form[form] = name, np.asarray(tensor)
    values, missing = [], []
    for entry in entries(net):
        name, tensor = by_form.pop(normal_form(entry.name), (None, None))
        if entry.variable is None:
            continue  # older files lack the counts
        if name is None:
            missing.append(entry.name)
            continue
        shape = entry.store(np.empty(entry.variable.shape)).shape
        if tensor.shape != shape:
            raise WeightsError(f"{name}: has shape {tensor.shape}, and {shape} is needed")
        values.append((entry.variable, np.asarray(entry.load(tensor), np.float32)))
    for problem, names in (
        ("missing", missing),
        ("unused", [name for name, _ in by_form.values()]),
    ):
        if names:
            rest = f" and {len(names) - 5} more" * (len(names) > 5)
            raise WeightsError(f"{problem}: {', '.join(names[:5])}{rest}")
    for variable, array in values:
        variable.set_value(jnp.asarray(array))


def state_dict(net: Supernet) -> dict[str, np.ndarray]:
    """The tensors of a supernet in PyTorch's names and layouts; the inverse of `load`."""
    return {
        entry.name: np.zeros((), np.int64)
        if entry.variable is None
        else np.ascontiguousarray(entry.store(np.asarray(entry.variable[...])))
        for entry in entries(net)
    }


def blank(config: SupernetConfig) -> Supernet:
    """A supernet without arrays, to be filled by `load`."""
    return nnx.eval_shape(lambda: Supernet(config, nnx.Rngs(0)))


def read_file(path, config: SupernetConfig) -> Supernet:
    """A supernet with the weights of a PyTorch file, a dict with one key ``state_dict`` or bare.

    Read as plain data (`storage.torch_file`), running none of its code; needs the extra
    ``official``.

    Raises:
      TableError: it cannot be read as plain data.
      WeightsError: it has no state_dict, or that of another supernet.
    """
    content = read_plain(path)
    if isinstance(content, Mapping) and set(content) == {"state_dict"}:
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(hasattr(t, "shape") for t in content.values()):
        raise WeightsError(f"{path}: holds no state_dict")
    net = blank(config)
    try:
        load(net, {name: np.asarray(tensor) for name, tensor in content.items()})
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    return net


def save(path: str | os.PathLike, net: Supernet) -> None:
    """Writes a supernet to the folder ``path`` by Orbax; `read` is the inverse.

    Raises:
      CheckpointError: the folder exists, or cannot be written.
    """
    geometry = json.dumps(dataclasses.asdict(net.config)).encode()
    tensors = _arrays(net)
    if Path(path).exists():
        raise checkpoint.CheckpointError(f"{path}: is there already; name another folder")
    checkpoint.save(Path(path), {**tensors, _CONFIG: np.frombuffer(geometry, np.uint8)})


def read(path: str | os.PathLike, config: SupernetConfig) -> Supernet:
    """A supernet from a folder of `save`, or from a PyTorch file (`read_file`).

    Raises:
      TableError: a PyTorch file cannot be read as plain data.
      WeightsError: the weights are missing, damaged, or of another network.
    """
    if not Path(path).exists():
        raise WeightsError(f"{path}: no such file or folder")
    if not Path(path).is_dir():
        return read_file(path, config)
    tensors = checkpoint.load(Path(path))
    if tensors is None or _CONFIG not in tensors:
        raise WeightsError(f"{path}: no folder of weights, or a damaged one")
    stored = SupernetConfig(**json.loads(bytes(tensors.pop(_CONFIG))))
    if dataclasses.replace(stored, image_size=config.image_size) != config:
        fields = [field.name for field in dataclasses.fields(config)]
        other = [n for n in fields if getattr(stored, n) != getattr(config, n)]
        differing = ", ".join(f"{n}={getattr(stored, n)}" for n in other if n != "image_size")
        raise WeightsError(f"{path}: is of a supernet of another geometry: {differing}")
    net = blank(config)
    load(net, tensors)
    return net


def digest(net: Supernet) -> str:
    """SHA-256 of all tensors, to identify the weights of a measurement."""
    return content_sha256(_arrays(net))


def _arrays(net: Supernet) -> dict[str, np.ndarray]:
    """The tensors of `state_dict` without counts."""
    return {name: t for name, t in state_dict(net).items() if "num_batches" not in name}
