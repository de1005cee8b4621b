"""Sub-networks of a Once-for-all MobileNetV3 supernet: choices, costs, windows, encodings."""
