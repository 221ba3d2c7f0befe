"""The requests of the protocol, one feature a file."""
