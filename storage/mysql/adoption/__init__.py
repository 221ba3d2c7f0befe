"""An app's database becomes chatd's, too: what it has, what it lacks, and the rows that are ingested."""
