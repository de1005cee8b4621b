"""The Once-for-all MobileNetV3 supernet: `config`, `arch`, `supernet`, then `recalibrate`."""
