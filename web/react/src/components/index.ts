/** Components of the chat page, for pages that bring a context of their own; ChatInterface is all of it. */

export { Announcer } from "./alerts/announcer.js";
export { addressOf } from "./address.js";
export { type Chat, ChatContext, personOf, type Shown, useChat } from "./context.js";
export { useNarrow, useReadable } from "./hooks.js";
export { Layout } from "./layout.js";
export { lineOf, namesOf, titleOf } from "./names.js";
export { Dialog } from "./ui/dialog.js";
export { Field, Problem } from "./ui/field.js";
export { Icon } from "./ui/icons.js";
export { Passing } from "./ui/passing.js";
export { useWantedPerson } from "./wanted-person.js";
export { words } from "./words.js";
