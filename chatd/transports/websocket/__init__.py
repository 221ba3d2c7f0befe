"""Chat over WebSocket: one connection, two engines that read frames."""
