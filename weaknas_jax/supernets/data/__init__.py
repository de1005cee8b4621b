"""Images: folders, augmentation, decoded copies, and digits that need no download."""
