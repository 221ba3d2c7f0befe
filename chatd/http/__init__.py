"""Routes over HTTP."""
