"""What a request does: one file a feature. A command returns what it answers, and raises `Refusal` to say no."""
