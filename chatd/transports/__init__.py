"""The ways in: each makes a session and feeds dispatch."""
