"""Measures the daemon against a relay that stores nothing (`make bench`)."""
