"""External writes: rows that an app or another daemon wrote to the shared tables; scanned for, then ingested."""
