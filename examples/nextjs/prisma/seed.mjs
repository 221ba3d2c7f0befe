// A patient and two dentists to try it with; the password of all is "example-password".
import { randomBytes, scryptSync } from "node:crypto";
import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { PrismaClient } from "@prisma/client";

const PASSWORD = "example-password";
const PEOPLE = [
  { email: "ada@example.com", name: "Ada", role: "PATIENT" },
  { email: "ay@example.com", name: "Dr Ay", role: "DENTIST", title: "Orthodontist", about: "Braces, for all ages." },
  { email: "bo@example.com", name: "Dr Bo", role: "DENTIST", title: "Oral surgeon", about: "Wisdom teeth, implants." },
];

const prisma = new PrismaClient({ adapter: new PrismaMariaDb(process.env.DATABASE_URL ?? "") });
for (const { email, name, role, title, about } of PEOPLE) {
  const salt = randomBytes(16);
  const password = `${salt.toString("hex")}:${scryptSync(PASSWORD, salt, 32).toString("hex")}`;
  const profile = title ? { profile: { create: { title, about } } } : {};
  await prisma.user.upsert({ where: { email }, update: {}, create: { email, name, role, password, ...profile } });
}
await prisma.$disconnect();
