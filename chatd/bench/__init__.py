"""`chatd bench`: loads a server with real connections, checks every delivery, and says what a message costs.

    peer.py      one WebSocket connection, read and written without a task of its own
    load.py      what every connection of a run does: messages in flight, acknowledgements, deliveries
    members.py   the same in chatd's protocol, and the conversations
    ledger.py    whether everybody got everything, once and in order
    figures.py   the numbers, and how they are taken
    machine.py   CPU time and memory of a process, and how fast a disk syncs
    private.py   a server of its own, in a folder that goes away
    target.py    that server or a running one, and how its users sign in
    run.py       the whole of a run, from the first connection to the figures
    report.py    the figures for people

`python -m bench` in the source tree loads other servers by the same means.
"""
