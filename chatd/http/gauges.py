"""The states of the daemon's parts that `/metrics` shows."""

from chatd.background.supervise import Jobs
from chatd.core.gate import Gate
from chatd.core.registry import Registry
from chatd.core.rooms import Rooms
from chatd.metrics import Metrics
from chatd.net.server import NetServer
from chatd.transports.sessions import TRANSPORTS, LiveSessions


def connect(
    metrics: Metrics,
    *,
    gate: Gate,
    rooms: Rooms,
    registry: Registry,
    server: NetServer,
    sessions: LiveSessions,
    jobs: Jobs,
) -> None:
    """Have these parts read whenever somebody asks for the metrics."""
    transports = dict.fromkeys(TRANSPORTS, 0)
    metrics.gauge("chatd_open_sockets", "TCP connections, of whatever kind.", lambda: server.open)
    metrics.gauges(
        "chatd_connections", "Live sessions, by transport.", "transport", lambda: transports | sessions.by_transport()
    )
    metrics.gauge("chatd_users_online", "Users with a live session.", lambda: registry.users)
    metrics.gauge("chatd_rooms", "Conversations in memory.", lambda: len(rooms))
    metrics.gauges(
        "chatd_queue_depth",
        "What waits: requests in rooms, batches for a commit, bytes for slow readers.",
        "queue",
        lambda: {"rooms": rooms.waiting, "commit": gate.waiting, "outbox_bytes": sessions.queued},
    )
    metrics.counter("chatd_deliveries", "Events given to live sessions.", lambda: sessions.delivered)
    metrics.gauge("chatd_ready", "1 where messages can be acknowledged.", lambda: float(gate.problem is None))
    metrics.counters("chatd_job_failures", "Failures of background jobs.", "job", lambda: jobs.failures)
    metrics.gauges(
        "chatd_job_failing",
        "1 for a background job that fails at the moment.",
        "job",
        lambda: {name: float(name in jobs.failing) for name in jobs.failures},
    )

    def committed(changes: object, outcomes: object) -> None:
        assert isinstance(changes, (list, tuple))
        metrics.commit_changes.observe(len(changes))
        metrics.commit_seconds.observe(gate.last_commit_s)

    gate.subscribe(committed)
