"""Engine.IO 4: one session over polling, a WebSocket, or the one and then the other. Knows nothing of Socket.IO."""
