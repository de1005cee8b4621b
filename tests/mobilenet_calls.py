"""Calls of `experiments.mobilenet`, and a tiny supernet for them."""

from helpers import child

from weaknas_jax.spaces.mobilenet import config

TINY = config.SupernetConfig(
    stem=8,
    first=8,
    stages=(8,),
    strides=(2,),
    hard_swish=(True,),
    squeeze=(True,),
    depths=(1, 2),
    kernels=(3, 5),
    expansions=(2, 3),
    final_expand=16,
    feature_mix=16,
    image_size=16,
    classes=6,
)

QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}
"""Compiling takes longer than all that these calls compute."""

# Flags have names that other mains also use, so they are parsed in a process of its own.
CHILD = """
import contextlib, io, json, sys
import grain  # before flags are saved: it has some of its own
from absl import flags
from absl.testing import flagsaver
from weaknas_jax.cli.mobilenet import main as mobilenet
from weaknas_jax.cli.mobilenet import flags as shared
from mobilenet_calls import TINY
tiny, cases = json.load(sys.stdin)
if tiny:
    shared.config.mobilenet_v3 = lambda width, size: TINY
for command, *_ in cases.values():
    mobilenet.module(command)
said = {}
for name, (command, *arguments) in cases.items():
    out, err = io.StringIO(), io.StringIO()
    with flagsaver.flagsaver(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        flags.FLAGS.unparse_flags()
        code = mobilenet.run(command, flags.FLAGS(["mobilenet", *arguments]))
    said[name] = code, out.getvalue(), err.getvalue()
print(json.dumps(said))
"""


def calls(cases: dict[str, list[str]], tiny: bool = False) -> dict[str, tuple[int, str, str]]:
    """Exit status, output and errors of each call, a command and its flags.

    Args:
      cases: by name, in order.
      tiny: the supernet is `TINY`.
    """
    return child(CHILD, [tiny, cases], **QUICKLY)
