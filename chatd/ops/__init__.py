"""The daemon as a process, and the operator's procedures."""
