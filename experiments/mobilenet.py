"""Open-domain search on the Once-for-all MobileNetV3 supernet (WeakNAS, section 4.3, Table 7)."""

from weaknas_jax.cli.mobilenet.main import start

if __name__ == "__main__":
    start()
