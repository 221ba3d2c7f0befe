"""The chat protocol: frames as frozen values, and their strict decoding and encoding.

Pure: no I/O, no clock, no event loop. `docs/protocol.md` is the contract in words.
"""
