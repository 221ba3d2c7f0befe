/** The English catalogue: all that the page says. */

const plurals = new Intl.PluralRules("en");

/** "1 message", "2 messages" */
function counted(count: number, one: string, many: string): string {
  return `${count} ${plurals.select(count) === "one" ? one : many}`;
}

export const words = {
  // -- sign-in --
  signIn: "Sign in",
  signOut: "Sign out",
  userId: "User ID",
  name: "Name",
  role: "Role",
  password: "Password",
  code: "Code",
  codeHint: "Enter the code that your authenticator app shows, or one of your recovery codes.",
  invitation: "Invitation",
  invitationHint: "You have been invited. Confirm who you are to begin.",
  birthDate: "Date of birth",
  passwordOptional: "Password (optional)",
  passwordHint: "With a password you can sign in on other devices too.",
  continue: "Continue",
  signInElsewhere: "Sign in on our website",
  signInWith: (name: string) => `Sign in with ${name}`,
  noWayIn: "Signing in is not possible here. Please use the link that you were given.",
  developmentHint: "Development mode: anybody may be anybody.",
  wrongPassword: "User ID or password is not right. Please try again.",
  wrongCode: "This code is not right, or no longer valid. Please try again.",
  wrongInvitation: "This invitation is not valid, or has been used. Please ask your clinic for a new one.",
  wrongBirthDate: "This does not match what we know. Please check the date of birth.",
  /** Why somebody came back from an identity service without a session, by the server's word for it. */
  notSignedInElsewhere: (problem: string) =>
    problem === "unavailable"
      ? "That service can't be reached. Please try again in a moment."
      : problem === "often"
        ? "Too many tries. Please wait a minute, then try again."
        : "You could not be signed in this way. Please ask your clinic to set it up for you.",
  tooOften: (seconds: number) =>
    seconds > 90
      ? `Too many tries. Please wait ${Math.ceil(seconds / 60)} minutes, then try again.`
      : `Too many tries. Please wait ${Math.max(1, Math.ceil(seconds))} seconds, then try again.`,
  unreachable: "The server can't be reached. Please check your connection and try again.",
  retrying: "The server can't be reached. Trying again …",
  sessionEnded: "Your session has ended. Sign in again to continue; your draft is safe.",
  signedOut: "You have signed out.",
  incompatible: "This page is out of date. Please load it again.",
  reload: "Load again",
  roles: { patient: "Patient", dentist: "Dentist", staff: "Staff", admin: "Admin" },

  // -- list --
  conversations: "Conversations",
  searchMessages: "Search messages",
  searchResults: "Search results",
  nothingFound: (query: string) => `Nothing found for “${query}”.`,
  found: "Found",
  searching: "Searching …",
  searchFailed: "The search didn't work. Please try again.",
  moreResults: "More results",
  newConversation: "New conversation",
  findPerson: "Find a person",
  people: "People",
  nobodyFound: "Nobody found.",
  newGroup: "New group",
  title: "Title",
  createGroup: "Create group",
  chosen: (names: string) => `In the group: ${names}`,
  cancel: "Cancel",
  close: "Close",
  unreadCount: (count: number) => `${count} unread`,
  draft: "Draft:",
  you: "You:",
  typing: "typing …",
  options: "Options",
  pin: "Pin",
  unpin: "Unpin",
  mute: "Mute",
  unmute: "Unmute",
  archive: "Archive",
  unarchive: "Take out of the archive",
  leave: "Leave",
  leaveTitle: "Leave this conversation?",
  leaveText: "It disappears from your list, and you get no more messages from it.",
  pinned: "Pinned",
  muted: "Muted",
  archived: "Archive",
  back: "Back",
  moreConversations: "Show more",
  firstRun: "No conversations yet",
  firstRunText: "Press “New conversation” to write to somebody.",
  choose: "Choose a conversation",
  chooseText: "Your messages are on the left.",
  online: "online",
  offline: "offline",
  lastSeen: (when: string) => `last seen ${when}`,
  members: (count: number) => counted(count, "person", "people"),
  group: "Group",

  // -- conversation --
  messages: "Messages",
  message: "Message",
  send: "Send",
  save: "Save",
  editing: "Editing your message",
  replyingTo: (name: string) => `Replying to ${name}`,
  emptyConversation: "No messages yet. Say hello.",
  newMessages: "New messages",
  jumpToNewest: "Jump to newest",
  newCount: (count: number) => counted(count, "new message", "new messages"),
  loadingOlder: "Loading older messages …",
  waiting: "Waiting",
  sent: "Sent",
  delivered: "Delivered",
  read: "Read",
  failed: "Failed",
  edited: "edited",
  deleted: "This message was deleted",
  unknownMessage: "A message further up",
  tryAgain: "Try again",
  delete: "Delete",
  notSent: "This message couldn't be sent. Try again or delete it.",
  actions: "Actions",
  reply: "Reply",
  react: "React",
  edit: "Edit",
  copy: "Copy",
  reactWith: (emoji: string) => `React with ${emoji}`,
  reactedBy: (emoji: string, count: number) => `${emoji} ${counted(count, "person", "people")}`,
  deleteTitle: "Delete message?",
  deleteText: "It is deleted for everyone in this conversation and cannot be brought back.",
  deleteForEveryone: "Delete for everyone",
  deletedPerson: "Former user",
  system: "System",
  ownName: (name: string) => `${name} (you)`,
  isTyping: (name: string) => `${name} is typing …`,
  areTyping: (first: string, second: string) => `${first} and ${second} are typing …`,
  manyTyping: "Several people are typing …",
  removed: "You are no longer part of this conversation",
  removedText: "You left it, or somebody took you out. What was written stays with the others.",
  loadFailed: "This conversation couldn't be loaded.",
  waitingFor: (id: string) => `Waiting for ${id} to appear …`,
  unknownPerson: "This person can't be reached here.",
  tooLong: (length: number, limit: number) =>
    `This message is too long (${length.toLocaleString("en")} characters). The limit is ${limit.toLocaleString("en")}.`,
  actionFailed: "This didn't work. Please try again.",
  notAllowed: "This isn't possible any more.",

  // -- connection --
  reconnecting: "Reconnecting …",
  restarting: "Reconnecting … The server is restarting.",
  youAreOffline: "You're offline. What you write is kept and will be sent when you're back.",
  waitingCount: (count: number) =>
    plurals.select(count) === "one" ? "1 message is waiting." : `${count} messages are waiting.`,

  // -- sign-out --
  unsentTitle: "Unsent messages",
  unsentText: "These messages have not been sent yet. If you sign out now, they are lost.",
  stay: "Stay signed in",
  signOutAnyway: "Sign out and delete them",

  // -- notifications --
  turnOnNotifications: "Turn on notifications",
  said: (name: string, text: string) => `${name}: ${text}`,
  missedCall: "Call",
} as const;
