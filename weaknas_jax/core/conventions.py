"""JAX settings under which our functions run, whatever the user's process has set.

Same seed, same queries: that must not depend on ``JAX_ENABLE_X64`` and the like. So our code is
traced and run under `CONVENTIONS`, and the user's own code under the user's settings. The
decorator `with_conventions` does this; it costs nothing where the settings hold already.
``jax_debug_nans`` is off because NaN stands for failed and missing scores.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np


class Convention(NamedTuple):
    """Value of a JAX setting, and the context manager that sets it in a thread."""

    value: Any
    context: Callable[[Any], contextlib.AbstractContextManager]


CONVENTIONS = {
    "jax_enable_x64": Convention(False, jax.enable_x64),
    "jax_numpy_dtype_promotion": Convention("standard", jax.numpy_dtype_promotion),
    "jax_numpy_rank_promotion": Convention("allow", jax.numpy_rank_promotion),
    "jax_debug_nans": Convention(False, jax.debug_nans),
    "jax_debug_infs": Convention(False, jax.debug_infs),
    "jax_disable_jit": Convention(False, jax.disable_jit),
    "jax_default_prng_impl": Convention("threefry2x32", jax.default_prng_impl),
    "jax_threefry_partitionable": Convention(True, jax.threefry_partitionable),
}
_NARROW = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}


def violated() -> list[str]:
    """The names of `CONVENTIONS` that do not hold in this thread."""
    return [n for n, setting in CONVENTIONS.items() if getattr(jax.config, n) != setting.value]


def apply() -> None:
    """Sets `CONVENTIONS` for the whole process: for commands, whose process is ours."""
    for name in violated():
        jax.config.update(name, CONVENTIONS[name].value)


@contextlib.contextmanager
def scope() -> Iterator[None]:
    """Context with `CONVENTIONS` in this thread."""
    with contextlib.ExitStack() as stack:
        for name in violated():
            convention = CONVENTIONS[name]
            stack.enter_context(convention.context(convention.value))
        yield


def with_conventions(function: Callable) -> Callable:
    """Decorator: ``function`` runs, and is traced by `jax.jit`, under `CONVENTIONS`.

    Arguments that are arrays of 64 bits are converted to 32. Of a generator each step runs under
    `CONVENTIONS`; the code of its caller between two steps does not.

    >>> @with_conventions
    ... def double(x):
    ...     return 2 * x
    >>> with jax.enable_x64(True):
    ...     print(double(np.ones(2)).dtype)
    float32
    """
    if hasattr(function, "under_conventions"):
        return function

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def under(*args: Any, **named: Any) -> Iterator[Any]:  # pyright: ignore[reportRedeclaration]
            args, named = narrowed((args, named))
            steps, end = function(*args, **named), object()
            while True:
                with scope():
                    step = next(steps, end)
                if step is end:
                    return
                yield step

    else:

        @functools.wraps(function)
        def under(*args: Any, **named: Any) -> Any:
            if not violated():
                return function(*args, **named)
            args, named = narrowed((args, named))
            with scope():
                return function(*args, **named)

    under.under_conventions = True  # pyright: ignore[reportAttributeAccessIssue]
    return under


def narrowed(tree: Any) -> Any:
    """``tree`` with arrays of 64 bits converted to 32, where JAX would leave them."""
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        return tree

    def narrow(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            return leaf
        name = _NARROW.get(str(leaf.dtype))
        return leaf if name is None else leaf.astype(name)

    return jax.tree.map(narrow, tree)
