"""Storage: the contract of a store, its changes and records, and the stores that fulfil it.

Synchronous, and knows neither the event loop nor the wire. `contract.Store` says what a store promises.
"""
