import Link from "next/link";
import { prisma } from "@/lib/prisma";
import { signedIn } from "@/lib/session";

export const dynamic = "force-dynamic";

export default async function Home() {
  const user = await signedIn();
  const dentists = await prisma.user.findMany({
    where: { role: "DENTIST" },
    include: { profile: true },
    orderBy: { name: "asc" },
  });
  return (
    <main>
      <h1>Dentists</h1>
      <p>{user ? <Link href="/chat">Your messages, {user.name}</Link> : <Link href="/sign-in">Sign in</Link>}</p>
      <ul>
        {dentists.map(({ id, name, profile }) => (
          <li key={id}>
            <Link href={`/dentists/${id}`}>{name}</Link>, {profile?.title}
          </li>
        ))}
      </ul>
    </main>
  );
}
