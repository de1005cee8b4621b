"""Flags that several commands share, and functions that read them."""

from absl import flags

from weaknas_jax.cli import entry
from weaknas_jax.spaces.mobilenet import arch as archs
from weaknas_jax.spaces.mobilenet import config
from weaknas_jax.spaces.mobilenet.window import Window
from weaknas_jax.supernets.data import images

WEIGHTS = flags.DEFINE_string("weights", None, "PyTorch file, or folder made by convert.")
IMAGENET = flags.DEFINE_string("imagenet", None, "Folder with train/CLASS/* and val/CLASS/*.")
OUT = flags.DEFINE_string("out", None, "File or folder for the results.")
ARCH = flags.DEFINE_string("arch", "max", f"{', '.join(archs.NAMES)}, or a JSON file.")
WIDTH = flags.DEFINE_enum("width", "1.2", ["1.0", "1.2"], "Width multiplier of the supernet.")
_int = flags.DEFINE_integer
SIZE = _int("image_size", 236, "Side of the images in pixels.", lower_bound=1, upper_bound=4096)
_help = "Images in a batch. Statistics are means over such batches, so it affects the result."
BATCH = _int("batch", 200, _help, lower_bound=1, upper_bound=100_000)
_help = "Training images to recalibrate on; 0 = use the stored statistics of the largest network."
RECALIBRATE = _int("recalibrate", 2000, _help, lower_bound=0)
IMAGES = _int(
    "images", None, "Validation images, drawn by --data_seed; default: all.", lower_bound=1
)
SEED = _int("seed", 0, "Root of all random numbers.", lower_bound=0, upper_bound=2**32 - 1)
_help = "Seed of the data, not the search: training images drawn, their crops, and --images."
DATA_SEED = _int("data_seed", 0, _help, lower_bound=0)
_help = "Threads that read and decode images; default: one per core."
THREADS = _int("threads", None, _help, lower_bound=1, upper_bound=10_000)
_help = (
    "How the supernet runs; default: branches on a CPU, masks elsewhere. The result is the same."
)
HOW = flags.DEFINE_enum("how", None, ["branches", "masks"], _help)
ORACLE = flags.DEFINE_string("oracle", None, "Accuracy predictor of OFA (.npz).")
_help = "Image size for which the oracle predicts; --image_size is that of the window."
ORACLE_SIZE = _int("oracle_size", 224, _help, lower_bound=1, upper_bound=4096)
FLOPS = flags.DEFINE_list("flops", ["550", "600"], "Window of millions of multiply-adds, low,high.")
COUNT = _int("count", 10_000, "Sub-networks to rank, or to put into a table.", 1, 10_000_000)
_help = "Encoding: one_hot without inactive parts, or org, the 45 numbers of the reference."
ENCODING = flags.DEFINE_enum("encoding", "one_hot", ["one_hot", "org"], _help)
IMAGE_FLAGS = (
    *("weights", "imagenet", "images", "data_seed", "recalibrate"),
    *("batch", "how", "threads"),
)
"""Flags of measuring the accuracy that a sub-network inherits."""


def supernet() -> config.SupernetConfig:
    """The supernet of --width and --image_size."""
    return config.mobilenet_v3(float(WIDTH.value), SIZE.value)


def window() -> Window:
    """The window of --flops."""
    try:
        low, high = (entry.usable("flops", float(number)) for number in FLOPS.value)
    except ValueError:
        text = ",".join(FLOPS.value)
        raise ValueError(f"--flops={text}: give two finite numbers, low,high") from None
    return Window(low, high)


def needed(flag: flags.FlagHolder, advice: str) -> str:
    """The value of a required flag; raises ValueError with ``advice`` where it is missing."""
    if not flag.value:
        raise ValueError(f"--{flag.name}: {advice}")
    return flag.value


def split(name: str, classes: int, count: int | None) -> images.Images:
    """``count`` images (None = all) of a split of --imagenet, which has ``classes`` folders."""
    folder = needed(IMAGENET, "name the folder that holds train and val")
    whole = images.find(folder, name)
    if len(whole.classes) != classes:
        raise images.ImagesError(
            f"{folder}/{name}: {len(whole.classes)} class folders, but the network has {classes}"
        )
    return whole if count is None else images.drawn(whole, count, DATA_SEED.value)
