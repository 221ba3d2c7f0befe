"""The rules by feature: how a change moves the rows of a `Unit`. `storage.apply` leads each change to its rule."""
