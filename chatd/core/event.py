"""The codec seam: how a frame becomes the bytes that a transport carries. Native JSON over WebSocket comes first."""

from typing import Protocol

from protocol.frames import Frame


class Codec(Protocol):
    """Makes bytes of frames; `name` keys the encodings that an event keeps."""

    name: str

    def encode(self, frame: Frame) -> bytes:
        """The frame as the transport carries it."""
        ...

    def wrap(self, json: bytes) -> bytes:
        """The same of a frame that is JSON already."""
        ...


class Event:
    """A frame on its way to many: encoded once per codec, on first use."""

    __slots__ = ("_encoded", "_frame")

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._encoded: dict[str, bytes] = {}

    def bytes_for(self, codec: Codec) -> bytes:
        """The frame in this codec's bytes."""
        data = self._encoded.get(codec.name)
        if data is None:
            data = self._encoded[codec.name] = codec.encode(self._frame)
        return data
