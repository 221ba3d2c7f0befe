"""Sessions without a socket of their own: their frames go in and out by HTTP requests, numbered both ways."""
