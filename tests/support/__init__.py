"""Doubles that several test files share."""
