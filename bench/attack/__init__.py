"""Floods against a daemon, and what a normal client notices of them."""
