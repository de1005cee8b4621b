"""Commands of open-domain search on the Once-for-all MobileNetV3 supernet; see `main`."""
