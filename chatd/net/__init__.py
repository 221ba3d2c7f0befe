"""Sockets and bytes; knows nothing of chat."""
