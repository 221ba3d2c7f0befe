export { ChatProvider, type ChatProviderProps, useClient } from "./provider.js";
export { type Listener, type Socket, type SocketEvents, socketOf } from "./socket.js";
export { type Person, useSocket, type UseSocket, type UseSocketOptions } from "./use-socket.js";
export { ChatInterface, type ChatInterfaceProps } from "./chat-interface.js";
