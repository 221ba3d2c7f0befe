// The seed's five steps in two browsers, through the same app with the front end that it had: socket.io-client, its own
// hook and component. Answers how long a message of the app's server took, in seconds, as JSON.
import assert from "node:assert/strict";
import { appointment, end, person, problems, send, shows, site, SOON } from "./nextjs-people.mjs";

const WRITTEN_BY_THE_APP = "Appointment booked: Friday 14:30";

try {
  const dentist = await person("bo@example.com");
  await dentist.goto(`${site}/chat`);
  await dentist.getByTestId("status").getByText("connected, 0 unread").waitFor(SOON);

  // 1-3: the patient looks at another dentist's profile, chooses to chat, and is in a conversation.
  const patient = await person("ada@example.com");
  await patient.getByRole("link", { name: "Dr Bo" }).click();
  await patient.getByRole("link", { name: "Chat with Dentist" }).click();
  await patient.getByRole("heading", { name: "Dr Bo" }).waitFor(SOON);

  // 4: so is the dentist, without having done anything; both see that the other is online.
  const row = dentist.getByRole("navigation", { name: "Conversations" }).getByRole("button").filter({ hasText: "Ada" });
  await row.filter({ hasText: "(online)" }).waitFor(SOON);

  // 5: messages arrive at once, with their states.
  await send(patient, "It hurts when I bite");
  await row.filter({ hasText: "1 unread" }).waitFor(SOON);
  await row.click();
  await shows(dentist, "It hurts when I bite").waitFor(SOON);
  await send(dentist, "Since when?");
  await shows(patient, "Since when?").waitFor(SOON);
  await shows(patient, "It hurts when I bite").filter({ hasText: "READ" }).waitFor(SOON);
  await patient.getByRole("textbox", { name: "Message", exact: true }).pressSequentially("Since");
  await dentist.getByText("Ada is typing").waitFor(SOON);

  // What the site's own server writes with Prisma shows to both.
  const conversationId = await patient.getByRole("region", { name: "Dr Bo" }).getAttribute("id");
  const began = Date.now();
  assert.equal(await appointment(patient, conversationId, "Friday 14:30"), 201);
  await Promise.all([patient, dentist].map((page) => shows(page, WRITTEN_BY_THE_APP).waitFor(SOON)));
  const seconds = (Date.now() - began) / 1000;

  // Both are in one chat with those of the new front end: what was said there is here.
  await patient.getByRole("navigation").getByRole("button").filter({ hasText: "Dr Ay" }).click();
  await shows(patient, "Appointment booked: Tuesday 09:12").waitFor(SOON);
  assert.deepEqual(problems, []);
  console.log(JSON.stringify({ seconds }));
} finally {
  await end();
}
