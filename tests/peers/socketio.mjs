// One person's front end, with a real socket.io-client: does what a line of JSON on standard input says, and writes what
// happens to it to standard output, a line each.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const sockets = new Map();
let asked = 0;

function tell(what) {
  process.stdout.write(JSON.stringify(what) + "\n");
}

function connect({ name = "main", url, options = {}, auth, tickets }) {
  const settings = { reconnectionDelay: 20, reconnectionDelayMax: 100, ...options };
  if (auth) {
    settings.auth = auth;
  }
  if (tickets) {
    settings.auth = (answer) => answer({ token: tickets[Math.min(asked++, tickets.length - 1)] });
  }
  const socket = io(url, settings);
  sockets.set(name, socket);
  socket.on("connect", () => tell({ name, happened: "connect", id: socket.id, recovered: socket.recovered }));
  socket.on("disconnect", (reason) => tell({ name, happened: "disconnect", reason }));
  socket.on("connect_error", (error) => tell({ name, happened: "connect_error", message: error.message, data: error.data }));
  socket.onAny((event, ...args) => tell({ name, event, data: args[0] }));
}

async function ask(socket, { event, data, timeout, way = "ack" }) {
  switch (way) {
    case "emitWithAck":
      return socket.emitWithAck(event, data);
    case "timeout":
      return new Promise((resolve, reject) =>
        socket.timeout(timeout).emit(event, data, (error, ...values) =>
          error ? reject(error) : resolve({ values }),
        ),
      );
    case "retried": // with the option `retries` an acknowledgement says first whether it was given up
      return new Promise((resolve, reject) =>
        socket.emit(event, data, (error, value) => (error ? reject(error) : resolve(value))),
      );
    default:
      return new Promise((resolve) => socket.emit(event, data, resolve));
  }
}

const actions = {
  connect: (socket, line) => connect(line),
  ask,
  emit: (socket, { event, data }) => void socket.emit(event, data),
  volatile: (socket, { event, data }) => void socket.volatile.emit(event, data),
  // As a network that breaks: the transport is gone, and the client comes back by itself.
  cut: (socket) => void socket.io.engine.close(),
  leave: (socket) => void socket.disconnect(),
  return: (socket) => void socket.connect(),
  state: (socket) => ({
    connected: socket.connected,
    id: socket.id,
    recovered: socket.recovered,
    transport: socket.io.engine?.transport?.name,
  }),
};

for await (const text of createInterface({ input: process.stdin })) {
  const line = JSON.parse(text);
  const socket = sockets.get(line.name ?? "main");
  Promise.resolve()
    .then(() => actions[line.do](socket, line))
    .then(
      (answer) => tell({ re: line.id, answer: answer ?? null }),
      (error) => tell({ re: line.id, error: String(error) }),
    );
}
process.exit(0);
