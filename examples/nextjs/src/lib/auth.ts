import { scryptSync, timingSafeEqual } from "node:crypto";
import type { NextAuthOptions } from "next-auth";
import CredentialsProvider from "next-auth/providers/credentials";
import { prisma } from "./prisma";

export const authOptions: NextAuthOptions = {
  session: { strategy: "jwt" },
  pages: { signIn: "/sign-in" },
  providers: [
    CredentialsProvider({
      credentials: { email: { label: "Email" }, password: { label: "Password", type: "password" } },
      async authorize(given) {
        const user = await prisma.user.findUnique({ where: { email: given?.email ?? "" } });
        if (!user || !given || !matches(given.password, user.password)) return null;
        return { id: user.id, name: user.name, email: user.email };
      },
    }),
  ],
  callbacks: {
    session({ session, token }) {
      return { ...session, user: { ...session.user, id: token.sub ?? "" } };
    },
  },
};

function matches(password: string, kept: string): boolean {
  const [salt = "", hash = ""] = kept.split(":");
  const known = Buffer.from(hash, "hex");
  return timingSafeEqual(scryptSync(password, Buffer.from(salt, "hex"), known.length), known);
}
