// Draws every state of the page, light, dark and on a phone, into web/screenshots/ (`npm run screenshots [NAME ...]`).
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  ADA,
  article,
  as,
  BO,
  composer,
  Daemon,
  DESKTOP,
  launch,
  log,
  PHONE,
  row,
  visitor,
  write,
} from "./harness.mjs";
import { file, input, photo, sample, sendFile, staged } from "./samples.mjs";

const TARGET = fileURLToPath(new URL("../screenshots/", import.meta.url));
const LOOKS = {
  light: { viewport: DESKTOP, colorScheme: "light" },
  dark: { viewport: DESKTOP, colorScheme: "dark" },
  phone: { viewport: PHONE, colorScheme: "light", hasTouch: true, isMobile: true, deviceScaleFactor: 2 },
};
const only = process.argv.slice(2);
const settled = (page) => page.waitForTimeout(700);

async function seed(daemon) {
  for (const [id, name, role] of [
    [ADA.user, ADA.name, ADA.role],
    [BO.user, BO.name, BO.role],
    ["den-2", "Dr. Maria Ay", "dentist"],
    ["sta-1", "Front desk", "staff"],
    ["pat-2", "Yusuf Özdemir", "patient"],
    ["pat-3", "نور الدين", "patient"],
    ["pat-4", "Bartholomew-Featherstonehaugh van der Westhuizen", "patient"],
    ["new-1", "Nia First", "patient"],
  ]) {
    await daemon.known(id, name, role);
  }
  const talk = await daemon.say("pat-1", "den-1", [
    "Good morning, Dr. Dahl.",
    "It hurts when I bite on the left side.",
  ]);
  await daemon.say("den-1", "pat-1", [
    "Good morning, Ada. Since when?",
    "Please don't chew on that side for now, and take what I prescribed last time, twice a day after meals.",
  ]);
  await daemon.say("pat-1", "den-1", [
    "Since yesterday evening.",
    "👍",
    "See https://www.example.org/appointments?day=tomorrow.",
  ]);
  await daemon.ask("den-1", { type: "message.react", conversation: talk, seq: 5, emoji: "🙏", on: true });
  await daemon.ask("den-1", {
    type: "message.send",
    conversation: talk,
    client_id: "reply",
    body: "Then come at nine tomorrow.",
    reply_to: 2,
  });
  await daemon.ask("den-1", { type: "message.send", conversation: talk, client_id: "wrong", body: "Wrong patient" });
  await daemon.ask("den-1", { type: "message.delete", conversation: talk, seq: 9 });
  await daemon.say("sta-1", "den-1", ["The lab called: the crown for Mr. Özdemir is ready."]);
  await daemon.say("pat-2", "den-1", ["Can I come at 14:30 instead?", "Sorry for the short notice"]);
  await daemon.say("pat-3", "den-1", ["مرحبا دكتور، الغرفة 12 أم 14؟", "Room 12 أم 14 at 09:30?"]);
  const long = await daemon.say("pat-4", "den-1", [`Donaudampfschifffahrtsgesellschaft${"kapitän".repeat(14)}`]);
  await daemon.say("den-2", "den-1", ["😀🎉"]);
  const group = await daemon.ask("den-1", {
    type: "conversation.create",
    title: "Team Tuesday",
    members: ["den-2", "sta-1"],
  });
  await daemon.ask("sta-1", {
    type: "message.send",
    conversation: group.conversation,
    client_id: "g1",
    body: "Staff meeting at 12:15, bring your lunch.",
  });
  await daemon.ask("den-1", { type: "membership.set", conversation: group.conversation, pinned: true });
  await daemon.ask("den-1", { type: "membership.set", conversation: long, muted: true });
  return talk;
}

/** Each state by its name: from a fresh page of somebody to what it looks like. */
const STATES = {
  "sign-in": async ({ open }) => open(`/`),
  "first-run": async ({ open }) => {
    const page = await open(as({ url: "" }, "new-1"));
    await page.getByText("No conversations yet").first().waitFor();
    return page;
  },
  list: async ({ dentist }) => dentist(),
  conversation: async ({ dentist }) => {
    const page = await dentist();
    await row(page, "Ada Lovelace").click();
    await composer(page).waitFor();
    return page;
  },
  unread: async ({ patient }) => patient(),
  mixed: async ({ dentist }) => inConversation(await dentist(), "نور الدين"),
  "long-word": async ({ dentist }) => inConversation(await dentist(), "Bartholomew"),
  emoji: async ({ dentist }) => inConversation(await dentist(), "Dr. Maria Ay"),
  group: async ({ dentist }) => inConversation(await dentist(), "Team Tuesday"),
  "empty-conversation": async ({ open, daemon }) => {
    await daemon.known("emp-1", "Empty Emil", "patient");
    const page = await open(as({ url: "" }, "emp-1", { other: "den-2" }));
    await composer(page).waitFor();
    return page;
  },
  "new-conversation": async ({ dentist }) => {
    const page = await dentist();
    await page.getByRole("button", { name: "New conversation" }).click();
    await page.getByRole("option").first().waitFor();
    return page;
  },
  "new-group": async ({ dentist }) => {
    const page = await dentist();
    await page.getByRole("button", { name: "New group" }).click();
    await page.getByRole("textbox", { name: "Title" }).fill("Braces");
    await page.getByRole("option").nth(1).click();
    await page.getByRole("option").nth(2).click();
    return page;
  },
  search: async ({ dentist }) => {
    const page = await dentist();
    await page.getByRole("searchbox", { name: "Search messages" }).fill("nine");
    await page.getByRole("list", { name: "Search results" }).waitFor();
    return page;
  },
  "search-nothing": async ({ dentist }) => {
    const page = await dentist();
    await page.getByRole("searchbox", { name: "Search messages" }).fill("unicorn");
    await page.getByText("Nothing found").waitFor();
    return page;
  },
  menu: async ({ dentist }) => {
    const page = await inConversation(await dentist(), "Ada Lovelace");
    const own = article(page, "Then come at nine");
    await own.getByRole("button", { name: "Actions" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("menu").waitFor();
    return page;
  },
  delete: async ({ dentist }) => {
    const page = await STATES.menu({ dentist });
    await page.getByRole("menuitem", { name: "Delete" }).click();
    return page;
  },
  reply: async ({ dentist }) => {
    const page = await STATES.menu({ dentist });
    await page.getByRole("menuitem", { name: "Reply" }).click();
    await composer(page).fill("A first line\nand a second one");
    return page;
  },
  edit: async ({ dentist }) => {
    const page = await STATES.menu({ dentist });
    await page.getByRole("menuitem", { name: "Edit" }).click();
    return page;
  },
  focus: async ({ dentist }) => {
    const page = await inConversation(await dentist(), "Ada Lovelace");
    await composer(page).focus();
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Shift+Tab");
    return page;
  },
  readme: async ({ dentist, patient }) => {
    const page = await STATES.typing({ dentist, patient });
    await page.setViewportSize({ width: 1000, height: 640 });
    return page;
  },
  typing: async ({ dentist, patient }) => {
    const page = await inConversation(await dentist(), "Ada Lovelace");
    const other = await patient();
    await composer(other).pressSequentially("I will be");
    await page.getByText("is typing").first().waitFor();
    return page;
  },
  "row-menu": async ({ dentist }) => {
    const page = await dentist();
    await row(page, "Yusuf").click({ button: "right" });
    await page.getByRole("menu").waitFor();
    return page;
  },
  "typing-two": async ({ dentist, open }) => {
    const page = await inConversation(await dentist(), "Team Tuesday");
    const group = new URL(page.url()).hash;
    for (const id of ["den-2", "sta-1"]) {
      const other = await open(as({ url: "" }, id) + group);
      await composer(other).pressSequentially("I w");
    }
    await page.getByText("are typing").waitFor();
    return page;
  },
  loading: async ({ open }) =>
    open(as({ url: "" }, BO.user, BO), { prepare: (page) => page.routeWebSocket(/\/ws$/, () => undefined) }),
  failed: async ({ open }) => {
    const page = await open(as({ url: "" }, ADA.user, { ...ADA, other: BO.user }), {
      prepare: (each) =>
        each.routeWebSocket(/\/ws$/, (socket) => {
          const server = socket.connectToServer();
          socket.onMessage((text) => {
            const { type, id } = JSON.parse(text);
            const refusal = { type: "error", re: id, code: "forbidden", message: "", temporary: false };
            if (type === "message.send") socket.send(JSON.stringify(refusal));
            else server.send(text);
          });
        }),
    });
    await composer(page).waitFor();
    await write(page, "I can't come at nine, is ten possible?");
    await page.getByText("couldn't be sent").waitFor();
    return page;
  },
  "session-ended": async ({ open }) => {
    let end;
    const page = await open(as({ url: "" }, BO.user, BO), {
      prepare: (each) =>
        each.routeWebSocket(/\/ws$/, (socket) => {
          socket.connectToServer();
          end = () => socket.close({ code: 4503 });
        }),
    });
    await row(page, "Ada Lovelace").waitFor();
    end();
    await page.getByText("Your session has ended").waitFor();
    return page;
  },
  removed: async ({ open, daemon }) => {
    await daemon.known("rem-1", "Remy", "staff");
    const made = await daemon.ask("den-2", { type: "conversation.create", title: "Old team", members: ["rem-1"] });
    const page = await open(as({ url: "" }, "rem-1"));
    await showConversation(page, "Old team");
    await daemon.ask("den-2", { type: "conversation.remove", conversation: made.conversation, user: "rem-1" });
    await page.getByText("no longer part").waitFor();
    return page;
  },
  10000: async ({ dentist, many }) => {
    await many();
    const page = await inConversation(await dentist(), "Line 300");
    await log(page).hover();
    await page.mouse.wheel(0, -3000);
    return page;
  },
  narrow: async ({ dentist }) => {
    const page = await dentist();
    await page.setViewportSize({ width: 320, height: 568 });
    return inConversation(page, "Ada Lovelace");
  },
  zoom: async ({ dentist }) => {
    const page = await inConversation(await dentist(), "Ada Lovelace");
    await page.setViewportSize({ width: 600, height: 400 }); // what 200 % leaves of 1200 x 800
    return page;
  },
  "upload-running": async ({ dentist }) => {
    const page = await dentist();
    await page.route(/\/v1\/attachments$/, () => undefined);
    await inConversation(page, "Yusuf");
    await input(page).setInputFiles([photo("x-ray left.jpg"), photo("x-ray right.jpg")]);
    await composer(page).fill("Both sides, from this morning.");
    await staged(page).getByText("Uploading").first().waitFor();
    return page;
  },
  "upload-failed": async ({ dentist }) => {
    const page = await inConversation(await dentist(), "Yusuf");
    await input(page).setInputFiles([photo(), file("scan.jpg", "image/jpeg", Buffer.from("<html>"))]);
    await page.getByText("couldn't be accepted").waitFor();
    return page;
  },
  "upload-refused": async ({ dentist }) => {
    const page = await inConversation(await dentist(), "Yusuf");
    await input(page).setInputFiles([
      file("film of my whole holiday.mp4", "video/mp4", Buffer.alloc(34_000_000)),
      file("invoice.html", "text/html", Buffer.from("x")),
    ]);
    await page.getByText("too large").waitFor();
    return page;
  },
  "upload-waiting": async ({ dentist }) => {
    const page = await inConversation(await dentist(), "Yusuf");
    await page.context().setOffline(true);
    await input(page).setInputFiles([photo(), file("plan.pdf", "application/pdf", sample("pdf()"))]);
    await staged(page).filter({ hasText: "plan.pdf" }).waitFor();
    await page.keyboard.press("Escape");
    await composer(page).fill("The plan, and how it looks now.");
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByRole("status").getByText("offline").waitFor();
    return page;
  },
  files: async ({ dentist, daemon }) => {
    const id = await daemon.say("den-2", "den-1", ["Three of them:"]);
    for (const each of [
      photo("tooth.jpg", "6, size=(640, 480)"),
      file("treatment plan for the next two years.pdf", "application/pdf", sample("pdf()")),
      file("voice.ogg", "audio/ogg", sample("ogg()")),
    ]) {
      await sendFile(daemon, "den-2", id, each);
    }
    const page = await inConversation(await dentist(), "Dr. Maria Ay");
    await page.getByRole("button", { name: "Show picture" }).first().waitFor();
    return page;
  },
  lightbox: async ({ dentist, daemon }) => {
    const page = await STATES.files({ dentist, daemon });
    await page.getByRole("button", { name: "Show picture" }).first().click();
    await page.getByRole("dialog").getByRole("img").waitFor();
    return page;
  },
  offline: async ({ dentist }) => {
    const page = await inConversation(await dentist(), "Yusuf");
    await page.context().setOffline(true);
    for (const text of ["We have 14:45.", "Or 15:30.", "Both are fine."]) await write(page, text);
    await page.getByText("3 messages are waiting").waitFor();
    return page;
  },
  restarting: async ({ dentist, daemon }) => {
    const page = await inConversation(await dentist(), "Yusuf");
    await daemon.kill("SIGTERM");
    await page.getByText("The server is restarting").waitFor();
    return page;
  },
};

async function showConversation(page, name) {
  const back = page.getByRole("button", { name: "Back" });
  if (await back.isVisible()) await back.click();
  await row(page, name).first().click();
  await page.getByRole("main").getByRole("heading").waitFor();
  return page;
}

async function inConversation(page, name) {
  await showConversation(page, name);
  await composer(page).waitFor();
  return page;
}

const browser = await launch();
for (const [look, options] of Object.entries(LOOKS)) {
  const daemon = await new Daemon().start();
  const talk = await seed(daemon);
  mkdirSync(TARGET, { recursive: true });
  for (const [name, state] of Object.entries(STATES)) {
    if (only.length > 0 && !only.includes(name)) continue;
    const contexts = [];
    const open = async (path, more = {}) => {
      const page = await visitor(browser, daemon.url + path, { ...options, ...more });
      contexts.push(page.context());
      return page;
    };
    const dentist = async () => {
      const page = await open(as({ url: "" }, BO.user, BO));
      await row(page, "Ada Lovelace").waitFor();
      return page;
    };
    const patient = async () => {
      const page = await open(`${as({ url: "" }, ADA.user, ADA)}#conversation=${talk}`);
      await composer(page).waitFor();
      return page;
    };
    const many = () =>
      daemon.say(
        "sta-1",
        "den-1",
        Array.from({ length: 300 }, (_, n) => `Line ${n + 1} ${"of many ".repeat(n % 9)}`),
      );
    try {
      const page = await state({ open, dentist, patient, daemon, many });
      await settled(page);
      await page.screenshot({ path: `${TARGET}${look}-${name}.png` });
    } catch (error) {
      console.error(`${look}-${name}: ${error.message.split("\n").slice(0, 6).join("\n")}`);
      process.exitCode = 1;
    }
    await Promise.all(contexts.map((context) => context.close()));
  }
  await daemon.stop();
}
await browser.close();
