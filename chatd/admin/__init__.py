"""The operator's verbs, run by the daemon that holds the store or, where none does, by the command."""
