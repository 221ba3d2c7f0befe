// The seed's five steps in two browsers, through the Next.js app of examples/nextjs; answers what was seen, as JSON.
import assert from "node:assert/strict";
import { appointment, end, person, problems, send, shots, shows, site, SOON } from "./nextjs-people.mjs";

const WRITTEN_BY_THE_APP = "Appointment booked: Tuesday 09:12";

try {
  const dentist = await person("ay@example.com");
  await dentist.goto(`${site}/chat`);
  await dentist.getByText("connected, 0 unread").waitFor(SOON);

  // 1-3: the patient looks at profiles, chooses to chat, and is in a conversation.
  const patient = await person("ada@example.com");
  await patient.getByRole("link", { name: "Dr Ay" }).click();
  await patient.getByRole("link", { name: "Chat with Dentist" }).click();
  await patient.getByRole("heading", { name: "Dr Ay" }).waitFor(SOON);

  // 4: so is the dentist, without having done anything.
  const row = dentist.getByRole("navigation", { name: "Conversations" }).getByRole("link").filter({ hasText: "Ada" });
  await row.waitFor(SOON);

  // 5: messages arrive at once, with their states.
  await send(patient, "It hurts when I bite");
  await row.filter({ hasText: "1 unread" }).waitFor(SOON);
  await dentist.getByTestId("status").getByText("1 unread").waitFor(SOON);
  await row.click();
  await shows(dentist, "It hurts when I bite").waitFor(SOON);
  await send(dentist, "Since when?");
  await shows(patient, "Since when?").waitFor(SOON);
  await shows(patient, "It hurts when I bite").filter({ hasText: /Delivered|Read/ }).waitFor(SOON);
  await patient.getByRole("textbox", { name: "Message", exact: true }).pressSequentially("Since");
  await dentist.getByText(/typing/).first().waitFor(SOON);

  // What the site's own server writes with Prisma shows to both.
  const address = await row.getAttribute("href");
  const conversationId = decodeURIComponent(address.split("#conversation=")[1]);
  const began = Date.now();
  const answer = await appointment(patient, conversationId, "Tuesday 09:12");
  assert.equal(answer, 201);
  await Promise.all([patient, dentist].map((page) => shows(page, WRITTEN_BY_THE_APP).waitFor(SOON)));
  const seconds = (Date.now() - began) / 1000;

  // No style leaks, either way: the site's buttons shout, the chat's don't.
  const look = (page, role, name) =>
    page.getByRole(role, { name, exact: true }).evaluate((element) => {
      const { textTransform, fontFamily, borderTopWidth } = getComputedStyle(element);
      return { textTransform, fontFamily, borderTopWidth };
    });
  const inside = await look(patient, "button", "Send");
  assert.equal(inside.textTransform, "none");
  assert.ok(!inside.fontFamily.includes("Georgia"), inside.fontFamily);
  const accent = await patient
    .getByRole("button", { name: "New conversation" })
    .evaluate((element) => getComputedStyle(element).getPropertyValue("--chatd-accent").trim());
  assert.equal(accent, "#7a2e8e");
  const outside = await patient.getByTestId("status").evaluate((element) => getComputedStyle(element).fontFamily);
  assert.ok(outside.includes("Georgia"), outside);
  // It is as large as its place: nothing of it is cut off, above or below.
  for (const part of [patient.getByRole("button", { name: "Send", exact: true }), patient.getByText("NextDentist")]) {
    const { y, height } = await part.boundingBox();
    assert.ok(y >= 29 && y + height <= 800, `${y}, ${height}`);
  }
  if (shots) {
    await patient.screenshot({ path: `${shots}/patient.png` });
    await dentist.screenshot({ path: `${shots}/dentist.png` });
  }

  // Narrow: one pane at a time, by the part's own width. A reload brings everything back.
  await patient.setViewportSize({ width: 390, height: 780 });
  await patient.getByRole("button", { name: "Back" }).click();
  await patient.getByRole("navigation", { name: "Conversations" }).waitFor(SOON);
  if (shots) await patient.screenshot({ path: `${shots}/narrow.png` });
  await patient.reload();
  await shows(patient, WRITTEN_BY_THE_APP).waitFor(SOON);
  assert.deepEqual(problems, []);
  console.log(JSON.stringify({ seconds }));
} finally {
  await end();
}
