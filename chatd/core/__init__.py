"""The chat itself, without any way in: rooms, sessions, the gate to the store."""
