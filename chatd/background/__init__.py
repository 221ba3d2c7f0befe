"""Jobs that run beside the chat."""
