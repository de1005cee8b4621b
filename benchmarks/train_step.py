"""A step of the retraining recipe: images a second in float32 and in bfloat16.

    python -m benchmarks.train_step > benchmarks/results/train_step-gpu.txt

The published network of 1000 queries on images that lie on the device, without reading any: what
bounds a training from above. Median (least..most) over several runs of ten steps each.
"""

import jax
import numpy as np
from absl import app, flags
from flax import nnx

from benchmarks.common import spread, timed
from weaknas_jax.report import provenance
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config
from weaknas_jax.supernets.data import images
from weaknas_jax.supernets.mobilenet import train_subnet
from weaknas_jax.supernets.mobilenet.subnet import Static
from weaknas_jax.supernets.recipe import Recipe

_SIZE = flags.DEFINE_integer("size", 236, "Side of the images.")
_BATCH = flags.DEFINE_integer("batch", 128, "Images in a step.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Runs of ten steps.")


def main(_):
    size, count = _SIZE.value, _BATCH.value
    wide = config.mobilenet_v3(1.2, size)
    rng = np.random.default_rng(0)
    batch = images.Batch(
        rng.integers(0, 256, (count, size, size, 3), np.uint8),
        rng.integers(0, 1000, count).astype(np.int32),
        np.arange(count, dtype=np.int32),
        np.ones(count, bool),
    )
    batch, key = jax.device_put(batch), jax.random.key(0)
    print(f"{provenance.device()}, {provenance.versions()}; {count} images of {size} pixels")
    net = Static(wide, archs.named(wide, "weaknas_1000"), nnx.Rngs(0))
    for bf16 in (False, True):
        made = train_subnet.make(net, Recipe(bf16=bf16), 10_000)
        state = made.init()
        seconds, step = timed(
            lambda made=made, state=state: (
                jax.jit(made.step, donate_argnums=0).lower(state, batch, key).compile()
            )
        )

        def ten(state, step=step):
            for _ in range(10):
                state, loss = step(state, batch, key)
            return state, loss

        state, _ = ten(state)
        rates = []
        for _ in range(_REPEATS.value):
            took, (state, loss) = timed(ten, state)
            rates.append(10 * count / took)
        kind = "bfloat16" if bf16 else "float32"
        print(
            f"{kind:9} {spread(rates)} images a second, loss {float(loss):.3f}, compiled in "
            f"{seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
