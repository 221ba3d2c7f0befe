"use client";

// The name that the site's components know. All that they used to do by hand is in it: one connection for all of them,
// rooms that are joined and left as the selection changes, messages that go out once, whatever the network does.
export { useSocket } from "@chatd/react";
