"""Description of a network from shapes alone, without building it."""

from typing import Any

from weaknas_jax.networks.registry import Plan, count, outline, output_shape, shapes
from weaknas_jax.spaces.own_form import in_words

FORMAT = "weaknas-network-1"


def describe(plan: Plan, image_size: int | None = None) -> dict[str, Any]:
    """A description as JSON, sufficient to build the network in any framework.

    ``shapes`` are those of all trainable arrays by their path in the module, ``parameters`` their
    total size; ``table_parameters`` is the number in the table, None = unknown, or for another
    number of classes.

    Args:
      plan: plan of the network (`registry.plan`).
      image_size: side of the images, pixels; None = that of the plan.

    Raises:
      ValueError: the network cannot be built, or does not accept images of that size.
    """
    network, size = outline(plan), image_size or plan.image_size
    answer, stated = plan.answer, plan.answer.costs.get("params")
    return {
        "format": FORMAT,
        "space": answer.space,
        "dataset": answer.dataset or None,
        "name": answer.name,
        "architecture": answer.architecture,
        "width": plan.width,
        "classes": plan.classes,
        "image_shape": [size, size, 3],
        "logits_shape": list(output_shape(plan, size)[1:]),
        "parameters": count(network),
        "table_parameters": stated if plan.classes == plan.usual_classes else None,
        "shapes": {path: list(shape) for path, shape in shapes(network).items()},
    }


def text(described: dict[str, Any], source: str, run: int | None = None) -> str:
    """A description as printed text, with the Python code that builds the network.

    Args:
      described: description, from `describe`.
      source: path it was read from.
      run: number of the run, for a folder of many runs.
    """
    name, stated = described["name"], described["table_parameters"]
    words = in_words(described["space"], name)
    choice_lists = described["architecture"] if isinstance(described["architecture"], dict) else {}
    parameters = f"{described['parameters']:,}"
    if stated is not None:
        same = stated == described["parameters"]
        parameters += ", as in the table" if same else f"; {stated:,} in the table"
    choices = {"classes": described["classes"], "width": described["width"], "run": run}
    arguments = "".join(f", {key}={value}" for key, value in choices.items() if value is not None)
    rows = [
        ("architecture", name or "of " + described["space"]),
        *([("", words)] if words else []),
        *[("", f"{key} {value}") for key, value in choice_lists.items() if key in ("ks", "e", "d")],
        *([("width", f"{described['width']}, of the supernet")] if described["width"] else []),
        ("parameters", parameters),
        ("images", f"{_shape(described['image_shape'])} to logits [B, {described['classes']}]"),
        ("in Python", "from flax import nnx"),
        ("", "from weaknas_jax.networks import build"),
        ("", ""),
        ("", f"network = build({source!r}{arguments}, rngs=nnx.Rngs(0))"),
    ]
    return "\n".join(f"  {label:<12}  {value}".rstrip() for label, value in rows)


def _shape(shape: list[int]) -> str:
    return f"[B, {', '.join(map(str, shape))}]"
