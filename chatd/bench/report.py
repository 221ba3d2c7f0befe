"""The figures for people."""

from collections.abc import Iterator

from .figures import Figures, ServerCost, Workload

BUSY_PERCENT = 85.0
"""% of a core from which on this program may be what limits the server."""

UNSYNCED_BELOW_MS = 0.01
"""ms: no disk syncs faster than this, memory does."""

MIB = 1024 * 1024


def lines(figures: Figures) -> Iterator[str]:
    """The report, line by line."""
    for name, text in _rows(figures):
        yield f"{name:14} {text}".rstrip()
    for wrong in figures.discrepancies:
        yield f"WRONG: {wrong}"
    if figures.failure:
        yield f"FAILED: {figures.failure}"


def _rows(figures: Figures) -> Iterator[tuple[str, str]]:
    workload = figures.workload
    yield "server", f"chatd {figures.version}, of its own" if figures.private else figures.server
    if (sync := figures.sync_ms) is not None:
        memory = "; that is memory, no disk: see --data-on" if sync.p50 < UNSYNCED_BELOW_MS else ""
        yield "disk", f"4 KiB written and synced in {sync.p50:.2f} ms (p50), {sync.p99:.2f} ms (p99){memory}"
    yield "load", described(workload)
    measured = f"{figures.seconds:.1f} s after {workload.warm_up:g} s of warm-up"
    yield "measured", measured + (", then interrupted" if figures.interrupted else "")
    yield "", ""
    yield "acknowledged", f"{figures.acknowledged_per_second:,.0f} messages/s"
    checked = "" if figures.discrepancies or figures.failure else ", every one checked: once, in order"
    yield "delivered", f"{figures.delivered_per_second:,.0f} deliveries/s{checked}"
    if (ack := figures.ack_ms) is not None:
        yield "ack", f"p50 {ack.p50:.2f} ms   p90 {ack.p90:.2f} ms   p99 {ack.p99:.2f} ms   max {ack.max:.2f} ms"
    yield from _cost(figures.cost, workload)
    yield (
        "this program",
        f"{figures.load_cpu_percent:.0f} % of a core"
        + (": it is the bottleneck, the server may do more" if figures.load_cpu_percent >= BUSY_PERCENT else ""),
    )
    errors = ", ".join(f"{count} {code}" for code, count in sorted(figures.errors.items()))
    limited = "; the server's own limits ([limits]) are what was measured" if "rate_limited" in figures.errors else ""
    yield "refused", (errors or "nothing") + limited


def described(workload: Workload) -> str:
    """The workload in words."""
    if workload.members == 2:
        who = f"{workload.conversations} pairs, {workload.window} messages in flight each"
    else:
        senders = "1 sender" if workload.senders == 1 else f"{workload.senders} senders"
        who = f"a group of {workload.members}, {senders}, {workload.window} messages in flight each"
    receipts = ", each reported delivered" if workload.receipts else ""
    return f"{who}, {workload.body_bytes} bytes of text{receipts}"


def _cost(cost: ServerCost | None, workload: Workload) -> Iterator[tuple[str, str]]:
    if cost is None:
        yield "server CPU", "not available: only for a server on this machine, on Linux"
        return
    each = f"{cost.cpu_us_per_message:.1f} us a message" if cost.cpu_us_per_message is not None else "no messages"
    if workload.members > 2 and cost.cpu_us_per_delivery is not None:
        each += f", {cost.cpu_us_per_delivery:.2f} us a delivery"
    yield "server CPU", f"{each}, {cost.cpu_percent:.0f} % of a core"
    yield (
        "server memory",
        f"{cost.memory_start / MIB:.0f} MiB at the start, {cost.memory_end / MIB:.0f} MiB at the end, "
        f"{cost.memory_peak / MIB:.0f} MiB at most",
    )
