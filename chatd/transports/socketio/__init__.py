"""Socket.IO 5 on Engine.IO, and the chat in its words."""
