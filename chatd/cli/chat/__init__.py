"""`chatd chat`: a chat in the terminal."""
