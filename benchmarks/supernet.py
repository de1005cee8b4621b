"""One program for every sub-network against a program for each: compiling and running, apart.

    python -m benchmarks.supernet > benchmarks/results/supernet-cpu.txt

Width 1.2, 160 pixels, batches of 32. A program of its own is compiled for a few sub-networks (the
smallest, the largest and random ones), and their mean stands for the hundred that are asked about.
Executions alternate. Elsewhere than on a CPU: how many sub-networks a second a population makes.
"""

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from flax import nnx

from benchmarks.common import spread, timed
from weaknas_jax.core import plan
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config
from weaknas_jax.supernets.mobilenet import subnet
from weaknas_jax.supernets.mobilenet.supernet import Supernet, default_how, forward

_SIZE = flags.DEFINE_integer("size", 160, "Side of the images.")
_BATCH = flags.DEFINE_integer("batch", 32, "Images in a batch.")
_NETWORKS = flags.DEFINE_integer("networks", 6, "Sub-networks with a program of their own.")
_REPEATS = flags.DEFINE_integer("repeats", 7, "Executions of each.")
HUNDRED = 100
POPULATIONS = 1, 8, 32


def compiled(function, *arguments):
    """Seconds of compiling, and the program."""
    return timed(lambda: jax.jit(function).lower(*arguments).compile())


def main(_):
    jax.config.update("jax_enable_compilation_cache", False)
    wide = config.mobilenet_v3(1.2)
    device = jax.devices()[0].device_kind
    print(f"{device} ({plan.cores()} cores), JAX {jax.__version__}; median (min..max)")
    net = jax.jit(lambda: Supernet(wide, nnx.Rngs(0)))()
    x = jax.random.normal(jax.random.key(0), (_BATCH.value, _SIZE.value, _SIZE.value, 3))
    drawn = archs.random(wide, np.random.default_rng(0), HUNDRED)
    several = [jax.tree.map(lambda part, i=i: part[i], drawn) for i in range(HUNDRED)]
    few = [archs.smallest(wide), archs.largest(wide), *several[: _NETWORKS.value - 2]]

    how = default_how()
    seconds, program = compiled(lambda net, x, arch: forward(net, x, arch, how)[0], net, x, few[0])
    print(f"compiling the one program ({how}): {seconds:.1f} s", flush=True)
    own = []
    for arch in few:
        own.append(compiled(_call, subnet.extract(net, arch), x))
    each = [s for s, _ in own]
    ratio = HUNDRED * np.mean(each) / seconds
    print(f"compiling one for each: {spread(each)} s; {HUNDRED} of them / one: {ratio:.1f}")

    ratios, took = [], []
    for arch, (_, alone) in zip(few, own, strict=True):
        network, pairs = subnet.extract(net, arch), []
        program(net, x, arch), alone(network, x)
        for _ in range(_REPEATS.value):
            ours, a = timed(program, net, x, arch)
            theirs, b = timed(alone, network, x)
            pairs.append((ours, theirs))
        rounding = 1e-4 if how == "branches" else 2e-2  # TF32
        assert jnp.abs(a - b).max() <= rounding * jnp.abs(b).max()
        ours, theirs = np.median(pairs, axis=0)
        ratios.append(np.median([p / q for p, q in pairs]))
        took.append(theirs)
        print(f"  {ours:.3f} s by the one program, {theirs:.3f} s by its own", flush=True)
    print(f"execution, the one program / its own: {spread(ratios)}")
    whole, _ = timed(lambda: [program(net, x, arch) for arch in several])
    apart = HUNDRED * (np.mean(each) + np.mean(took[2:]))
    ours = seconds + whole
    print(f"{HUNDRED} sub-networks, a batch each, compiling and running: {ours:.0f} s")
    print(f"by a program each, reckoned from the above: {apart:.0f} s, {apart / ours:.1f} times")
    if how == "masks":
        populations(net, x, drawn)


def _call(network, x):
    return network(x)


def populations(net, x, drawn) -> None:
    """Sub-networks a second, each on a batch."""
    for count in POPULATIONS:
        some = jax.tree.map(lambda part, count=count: part[:count], drawn)
        many = jax.vmap(lambda net, arch: forward(net, x, arch, "masks")[0], in_axes=(None, 0))
        _, program = compiled(many, net, some)
        program(net, some)
        rates = [count / timed(program, net, some)[0] for _ in range(_REPEATS.value)]
        print(f"population of {count}: {spread(rates)} sub-networks a second", flush=True)


if __name__ == "__main__":
    app.run(main)
