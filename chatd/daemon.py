"""The composition root, and the daemon's whole life, top to bottom: start, serve, shut down.

daemon   store and gate (ended last)
 |- background: poller, presence, search index, what others wrote
 `- rooms                      outlive connections
     `- connections            at shutdown: deadline = now + grace
         `- accept             until all are told: who polls comes by new connections
"""

import random
import secrets
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import attrs
import structlog
import trio

from chatd.attachments.files import FileService
from chatd.attachments.links import Links
from chatd.attachments.scan import Scanner
from chatd.attachments.sweep import SWEEP_EVERY_S, Sweep
from chatd.attachments.types import DOWNLOADS
from chatd.attachments.uploads import Uploads
from chatd.attachments.worker import Worker
from chatd.auth import elsewhere
from chatd.auth.authenticate import Chain
from chatd.auth.chain import development_chain, production_chain
from chatd.auth.jwt_method import JwtAuthenticator
from chatd.auth.keepers import Keepers, keepers
from chatd.auth.key_source import KeySource
from chatd.auth.site_session import SiteRows, SiteSessionAuthenticator
from chatd.auth.site_watch import SITE_WATCH_EVERY_S, SiteWatch
from chatd.auth.tokens import Tokens
from chatd.auth.upkeep import UPKEEP_EVERY_S, Upkeep
from chatd.background import disk
from chatd.background.checkpoints import CHECKPOINT_EVERY_S, Checkpoints
from chatd.background.indexer import Indexer
from chatd.background.memory import CONNECTION_BYTES, Trimmer, resident_bytes, trim_malloc
from chatd.background.supervise import Job, Jobs, repeating
from chatd.cluster.external_writes import ExternalWrites
from chatd.cluster.notices import Notices
from chatd.cluster.own_settings import OwnSettings
from chatd.cluster.revocations import Revocations
from chatd.commands.parts import Parts
from chatd.commands.permissions import ReachPolicy, Windows
from chatd.config import Config
from chatd.core.accounts import Accounts
from chatd.core.gate import Gate, Runner, ThreadRunner
from chatd.core.outbox import Cork
from chatd.core.presence import PresenceIndex
from chatd.core.ratelimit import Buckets
from chatd.core.registry import Registry
from chatd.core.room import RoomParts
from chatd.core.rooms import Rooms
from chatd.http import gauges
from chatd.http.app import Application, make_app
from chatd.http.callers import Callers
from chatd.http.health import damage, failing
from chatd.http.site import Site
from chatd.ids import new_id
from chatd.logs.counted import WINDOW_S, Counted
from chatd.metrics import Metrics
from chatd.net.addresses import source_of
from chatd.net.fetching import Fetch, PostForm, fetch, post_form
from chatd.net.poller import Poller, available
from chatd.net.server import NetServer, Upgrade
from chatd.net.unfinished import MemoryShares
from chatd.transports.engineio.engine import EngineServer
from chatd.transports.engineio.link import LinkParts, WebSocketLink
from chatd.transports.engineio.settings import EngineSettings
from chatd.transports.intake import Rates
from chatd.transports.polling.session import SessionTerms
from chatd.transports.polling.table import PollingSessions
from chatd.transports.sessions import LiveSessions
from chatd.transports.socketio.chat import SocketioChat
from chatd.transports.websocket.connection import Times, WebSocketConnection
from chatd.transports.websocket.engine import MakeEngine
from chatd.transports.websocket.library import LibraryEngine
from chatd.transports.websocket.own import OwnEngine
from protocol.objects import Limits
from storage.contract import LoggedStore, SharedStore, Store
from storage.keyed import REVOCATION, SETTINGS_CHANGE

log = structlog.get_logger("chatd.daemon")


GATHER_S = 0.003
"""Seconds that a busy gate gathers: nobody notices them, and they save a fifth of the CPU time of a message."""

REMEMBERED_S = 60.0
"""Seconds that a checked token is remembered where every change of users and tokens goes by this daemon."""

DECODER = (sys.executable, "-m", "chatd", "attachment-worker")

ENGINES: dict[str, MakeEngine] = {"trio-websocket": LibraryEngine, "own": OwnEngine}


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Daemon:
    """One chat daemon around a store. The clock, the ids and what runs the store's calls are injected.

    `tokens` are needed but in development mode, which accepts none. `decoder`: the command that decodes files.

    Raises BadSecret and ConfigError where a way to sign in lacks what it needs.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        development: bool = False,
        exposed: bool = False,
        encryption: ssl.SSLContext | None = None,
        tokens: Tokens | None = None,
        write: Runner | None = None,
        read: Runner | None = None,
        now: Callable[[], int] = wall_clock,
        new_id: Callable[[], str] = new_id,
        rng: random.Random | None = None,
        fetch: Fetch = fetch,
        decoder: Sequence[str] = DECODER,
        post_form: PostForm = post_form,
    ) -> None:
        self.config = config
        self.store = store
        self.tokens = tokens
        self._development = development
        self._now, self._new_id = now, new_id
        gather = GATHER_S if write is None else 0.0  # on a virtual clock nothing is gained by waiting
        hash_on = write  # where calls run inline, all of them do
        write, read = write or ThreadRunner(1), read or ThreadRunner(config.storage.readers)
        self._cork = Cork()
        self.gate = Gate(store, write, read, commit_timeout=config.timeouts.commit, gather=gather, cork=self._cork)
        self.jobs = Jobs()
        self.metrics = Metrics()
        self._indexer = Indexer(self.gate)
        self.registry = Registry()
        self._stopping = trio.Event()
        self.sessions = LiveSessions()
        self._rng = rng or random.Random()
        self._poller = Poller() if available() else None
        self.shares = MemoryShares()
        self.lines = Counted(trio.current_time, source_of)
        limits, timeouts = config.limits, config.timeouts
        presence = PresenceIndex(self.registry, self.gate, now)
        self.rooms = Rooms(
            RoomParts(self.gate, self.registry, presence, timeouts.commit, timeouts.room_idle, limits.room_inbox),
            limit=limits.rooms,
        )
        accounts = Accounts(self.gate, self.registry, presence)
        self.keepers = self._make_keepers(accounts, hash_on, fetch, post_form)
        self._site_rows: dict[str, SiteRows] = {}
        self._key_sources = [provider.keys for provider in self.keepers.providers.values()]
        sign_in = self._make_sign_in(accounts, fetch)
        self.parts = self._make_parts(presence, accounts, sign_in)
        self._watch_others(accounts)
        self._times = Times(timeouts.handshake, timeouts.hello, config.server.heartbeat, timeouts.write, timeouts.close)
        keep = config.mysql.poll if isinstance(store, SharedStore) else REMEMBERED_S
        self.files = self._make_files(decoder, run=hash_on)
        self._socketio = self._make_socketio()
        app = self._make_app(keep)
        self.server = NetServer(
            app,
            self._serve_websocket,
            bounds=app.bounds,
            accepting=lambda: not self.stopping,
            dropped=self.metrics.drop,
            development=development,
            exposed=exposed,
            shares=self.shares,
            lines=self.lines,
            websocket_paths=("/ws", "/", *self._socketio_paths),
        )
        gauges.connect(
            self.metrics,
            gate=self.gate,
            rooms=self.rooms,
            registry=self.registry,
            server=self.server,
            sessions=self.sessions,
            jobs=self.jobs,
        )
        self.apply(config, encryption)

    def apply(self, config: Config, encryption: ssl.SSLContext | None) -> None:
        """Go on with these settings, of which only those in `reload.LIVE` may differ from the ones before."""
        self.config = config
        self.server.apply(config, encryption)
        limits = config.limits
        self.parts.policy.replace(attrs.asdict(config.policy))
        self.keepers.sessions.apply(config.auth.session_seconds())
        self.parts.windows.replace(config.messages.edit_within, config.messages.delete_within)
        limited = not self._development
        self.shares.known.limit = limits.unfinished_bytes
        self._rates = Rates(limits.requests_per_second, limits.request_burst) if limited else None
        per_user = Buckets(limits.user_requests_per_second, limits.user_request_burst)
        self._buckets = per_user if limited else None
        make_engine = ENGINES[config.server.websocket]
        self._wiring = LinkParts(self._cork, self.shares, make_engine, self._poller, limited=limited)

    def problem(self) -> str | None:
        """Reason that nothing can be acknowledged now, or None."""
        if self.stopping:
            return "shutting down"
        disk_problem = disk.problem(self.config.data_path(), self.config.limits.free_disk_bytes)
        return self.gate.problem or self.gate.mismatch or disk_problem

    @property
    def stopping(self) -> bool:
        """Return True if a shutdown has begun."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Begin to shut down; `run` returns within the grace."""
        self._stopping.set()

    async def run(
        self, listeners: list[socket.socket], task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve the listening sockets (and `server.serve_stream`) until `stop`, and close them.

        Everything acknowledged is kept.
        """
        async with trio.open_nursery() as daemon:
            daemon.start_soon(self.gate.run)
            async with trio.open_nursery() as background:
                for name, job in self._background():
                    background.start_soon(self.jobs.supervise, name, job)
                await background.start(self.rooms.run)
                async with trio.open_nursery() as connections:
                    async with trio.open_nursery() as accept:
                        await accept.start(self.server.accept, listeners, connections)
                        task_status.started()
                        await self._stopping.wait()
                        log.info("shutting down", connections=len(self.sessions))
                        connections.cancel_scope.deadline = trio.current_time() + self.config.server.grace
                        await self.sessions.say_goodbye(self._rng)
                        accept.cancel_scope.cancel()
                    for listener in listeners:
                        listener.close()  # who comes now is refused, and doesn't wait for nobody
                    connections.cancel_scope.cancel()
                with trio.move_on_after(self.config.timeouts.commit):
                    await self.parts.presence.close()
                await self.files.worker.aclose()
                background.cancel_scope.cancel()
            if self._poller is not None:
                self._poller.close()
            self.gate.close()
        log.info("stopped")

    def _background(self) -> Iterator[tuple[str, Job]]:
        yield "presence", self.parts.presence.run
        yield "search index", self._indexer.run
        yield "log", self._tell_lines
        yield "files that nobody has", repeating(SWEEP_EVERY_S, Sweep(self.gate, self.files, self.parts.now))
        yield "memory", Trimmer(resident_bytes, trim_malloc, self._held_bytes).run
        if self._poller is not None:
            yield "socket poller", self._poller.run
        if self._external_writes is not None:
            yield "external writes", self._external_writes.run
        if isinstance(self.gate.store, LoggedStore):
            yield "checkpoints", repeating(CHECKPOINT_EVERY_S, Checkpoints(self.gate, self.gate.store))
        if not self.parts.development:
            upkeep = Upkeep(self.gate, self.registry, self.keepers.sessions, self.parts.now)
            yield "sign-in upkeep", repeating(UPKEEP_EVERY_S, upkeep)
        for source in self._key_sources:
            yield f"keys of {source.name}", source.run
        if self._site_rows:
            watch = SiteWatch(self.registry, self._site_rows, self.parts.now)
            yield "sessions of the site", repeating(SITE_WATCH_EVERY_S, watch)
        if self._revocations is not None:
            yield "revocations elsewhere", repeating(self.config.mysql.poll, self._revocations.look)
        if self._own_settings is not None:
            yield "settings elsewhere", repeating(self.config.mysql.poll, self._own_settings.look)

    def _held_bytes(self) -> int:
        return self.shares.strangers.held + self.shares.known.held + CONNECTION_BYTES * self.server.open

    def _polling_terms(self) -> SessionTerms:
        return SessionTerms(
            kept_bytes=self.config.limits.outbox_bytes,
            hello_s=self.config.timeouts.hello,
            close_s=self.config.timeouts.close,
            rates=self._rates,
            user_bucket=self._buckets.of if self._buckets is not None else None,
            memory=self.shares.known,
        )

    async def _tell_lines(self) -> None:
        while True:
            await trio.sleep(WINDOW_S)
            self.lines.tell()

    def _make_keepers(self, accounts: Accounts, hash_on: Runner | None, fetch: Fetch, post_form: PostForm) -> Keepers:
        return keepers(
            self.gate,
            accounts,
            methods=self.config.auth.methods,
            now=self._now,
            new_id=self._new_id,
            clock=trio.current_time,
            hash_on=hash_on,
            tokens=self.tokens or Tokens(secrets.token_bytes(32)),
            providers={} if self._development else elsewhere.providers(self.config, fetch, post_form, self._now),
        )

    def _make_sign_in(self, accounts: Accounts, fetch: Fetch) -> Chain:
        """Return who tells who somebody is. Raises ValueError without tokens, ConfigError where a secret is missing."""
        if self._development:
            return development_chain(self.gate, accounts, self._now)
        if self.tokens is None:
            raise ValueError("a daemon that is not in development mode needs tokens")
        others = list(elsewhere.authenticators(self.config, self.gate, accounts, self._now, fetch))
        self._site_rows = {each.method: each.rows for each in others if isinstance(each, SiteSessionAuthenticator)}
        self._key_sources += [
            issuer.keys
            for each in others
            if isinstance(each, JwtAuthenticator)
            for issuer in each.issuers
            if isinstance(issuer.keys, KeySource)
        ]
        return production_chain(self.gate, self.keepers, self.tokens, self._now, others)

    def _make_parts(self, presence: PresenceIndex, accounts: Accounts, sign_in: Chain) -> Parts:
        limits = self.config.limits
        return Parts(
            store=self.store,
            gate=self.gate,
            registry=self.registry,
            presence=presence,
            accounts=accounts,
            rooms=self.rooms,
            policy=ReachPolicy({}),
            windows=Windows(0, 0),
            limits=Limits(
                max_frame_bytes=limits.max_frame_bytes,
                max_body_chars=limits.max_body_chars,
                max_revs=limits.max_revs,
                max_page=limits.max_page,
                max_participants=limits.max_participants,
                max_attachment_bytes=limits.max_attachment_bytes,
                max_attachments=limits.max_attachments,
            ),
            now=self._now,
            new_id=self._new_id,
            heartbeat=self.config.server.heartbeat,
            sign_in=sign_in,
            keepers=self.keepers,
            development=self._development,
            draining=self._stopping.is_set,
            connections_per_user=limits.connections if self._development else limits.connections_per_user,
            metrics=self.metrics,
        )

    def _watch_others(self, accounts: Accounts) -> None:
        """Have what follows the writes of others, where the store is shared with them."""
        self._external_writes: ExternalWrites | None = None
        self._revocations: Revocations | None = None
        self._own_settings: OwnSettings | None = None
        if isinstance(self.store, SharedStore):
            self._external_writes = ExternalWrites(self.parts, self.store, interval=self.config.mysql.poll)
            revoked = Notices(self.gate, REVOCATION, self._now, self._new_id)
            self._revocations = Revocations(revoked, accounts)
            changed = Notices(self.gate, SETTINGS_CHANGE, self._now, self._new_id)
            self._own_settings = OwnSettings(changed, self.rooms, self._external_writes)

    def _make_files(self, decoder: Sequence[str], *, run: Runner | None) -> FileService:
        config = self.config
        return FileService(
            self.gate,
            folder=config.files_path(),
            worker=Worker(decoder),
            scanner=Scanner(config.files.clamd) if config.files.clamd else None,
            downloads=frozenset(DOWNLOADS[name] for name in config.files.downloads),
            max_bytes=config.limits.max_attachment_bytes,
            day_bytes=config.limits.user_attachment_bytes_per_day,
            free_bytes=2 * config.limits.free_disk_bytes,
            now=self._now,
            new_id=self._new_id,
            run=run,
        )

    def _make_app(self, keep: float) -> Application:
        """Return what is served over HTTP; `keep`: seconds that a checked token is remembered."""
        tokens = self.tokens
        return make_app(
            Site(
                engine=self._socketio,
                parts=self.parts,
                callers=Callers(self.parts, lambda: self.server.origins, keep=keep),
                files=self.files,
                uploads=Uploads(self.gate, self.files, self._now),
                links=Links(secrets.token_bytes() if tokens is None else tokens.key_for("link to a file")),
                wait_of_user=lambda user: self._buckets.of(user).take() if self._buckets is not None else 0.0,
                config=lambda: self.config,
                origins=lambda: self.server.origins,
                wait=lambda client: self.server.wait(client),
                problem=self.problem,
                polling=PollingSessions(
                    self.parts,
                    self.sessions,
                    terms=self._polling_terms,
                    limits=lambda: self.config.limits,
                    nursery=lambda: self.server.nursery,
                ),
                notes=lambda: [*failing(self.jobs), *damage(self.store.damaged)],
                metrics=self.metrics,
            )
        )

    def _make_socketio(self) -> EngineServer | None:
        """Return the engine for front ends that speak Socket.IO, where they are served."""
        config = self.config
        settings = config.socketio
        self._socketio_paths = frozenset(path + slash for path in settings.paths for slash in ("", "/"))
        if not settings.enabled:
            self._socketio_paths = frozenset()
            return None
        chat = SocketioChat(
            self.parts,
            self.sessions,
            settings,
            cork=self._cork,
            rates=lambda: self._rates,
            user_bucket=lambda: self._buckets.of if self._buckets is not None else None,
            nursery=lambda: self.server.nursery,
        )
        times = EngineSettings(
            ping_interval=config.server.heartbeat,
            ping_timeout=settings.ping_timeout,
            write_timeout=config.timeouts.write,
            close_timeout=config.timeouts.close,
            handshake_timeout=config.timeouts.handshake,
            max_payload=config.limits.max_frame_bytes,
            outbox_bytes=config.limits.outbox_bytes,
            max_sessions=config.limits.connections,
        )
        return EngineServer(chat, times, nursery=lambda: None if self.stopping else self.server.nursery)

    async def _serve_websocket(self, upgrade: Upgrade) -> None:
        address = upgrade.client.address[0] if upgrade.client.address else None
        if self._socketio is not None and upgrade.head.path in self._socketio_paths:
            link = WebSocketLink(self._socketio, self._wiring, upgrade.stream, upgrade.socket)
            await link.run(upgrade.head, upgrade.replay, address)
            return
        connection = WebSocketConnection(
            upgrade.stream,
            self.parts,
            self._cork,
            self._times,
            outbox_bytes=self.config.limits.outbox_bytes,
            rates=self._rates,
            user_bucket=self._buckets.of if self._buckets is not None else None,
            make_engine=self._wiring.make_engine,
            shares=self.shares,
            sock=upgrade.socket,
            poller=self._poller,
        )
        connection.session.address = address
        connection.logged = self.lines.admit(address)
        if connection.logged:
            log.info("connected", session=connection.session.id, address=address)
        with self.sessions.holding(connection):
            await connection.run(upgrade.head, upgrade.replay)
