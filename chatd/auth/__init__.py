"""Sign-in: authenticators, and the credentials that they check."""
