"""What is said of a network before it is built: nothing is computed, shapes alone are followed."""

from typing import Any

from weaknas_jax.networks.registry import Plan, count, outline, output_shape, shapes
from weaknas_jax.spaces.own_form import in_words

FORMAT = "weaknas-network-1"


def describe(plan: Plan, image_size: int | None = None) -> dict[str, Any]:
    """A description as JSON has it, enough to build the network in any framework.

    ``shapes`` are those of all trainable arrays by their path in the module, of ``parameters`` in
    all; ``table_parameters`` is what the table says, None = it does not, or of other classes.

    Args:
      plan: of the network (`registry.plan`).
      image_size: side of the images, pixels; None = the usual.

    Raises:
      ValueError: it cannot be built, or takes no images of that size.
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
    """A description as it is printed, with the lines of Python that make the network.

    Args:
      described: by `describe`.
      source: what it was read from.
      run: of a folder of many runs, which.
    """
    name, stated = described["name"], described["table_parameters"]
    words = in_words(described["space"], name)
    lists = described["architecture"] if isinstance(described["architecture"], dict) else {}
    counted = f"{described['parameters']:,}"
    if stated is not None:
        same = stated == described["parameters"]
        counted += ", as the table says" if same else f"; the table says {stated:,}"
    said = {"classes": described["classes"], "width": described["width"], "run": run}
    given = "".join(f", {key}={value}" for key, value in said.items() if value is not None)
    rows = [
        ("architecture", name or "of " + described["space"]),
        *([("", words)] if words else []),
        *[("", f"{key} {value}") for key, value in lists.items() if key in ("ks", "e", "d")],
        *([("width", f"{described['width']}, of the supernet")] if described["width"] else []),
        ("parameters", counted),
        ("images", f"{_shape(described['image_shape'])} to logits [B, {described['classes']}]"),
        ("in Python", "from flax import nnx"),
        ("", "from weaknas_jax.networks import build"),
        ("", ""),
        ("", f"network = build({source!r}{given}, rngs=nnx.Rngs(0))"),
    ]
    return "\n".join(f"  {label:<12}  {value}".rstrip() for label, value in rows)


def _shape(shape: list[int]) -> str:
    return f"[B, {', '.join(map(str, shape))}]"
