import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { PrismaClient } from "@prisma/client";

// Next.js loads modules anew in development; one client is enough.
const kept = globalThis as unknown as { prisma?: PrismaClient };

export const prisma = (kept.prisma ??= new PrismaClient({
  adapter: new PrismaMariaDb(process.env.DATABASE_URL ?? ""),
}));
