"""Files on disk: written whole, owned, checked, and read without running anything in them."""
