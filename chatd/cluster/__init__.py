"""Other writers of the same database."""
