"""Requests of the protocol: the table of all, their handlers, and the rights to ask them."""
