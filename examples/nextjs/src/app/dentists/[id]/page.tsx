import Link from "next/link";
import { notFound } from "next/navigation";
import { prisma } from "@/lib/prisma";

export default async function Dentist({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params;
  const dentist = await prisma.user.findFirst({ where: { id, role: "DENTIST" }, include: { profile: true } });
  if (!dentist) notFound();
  return (
    <main>
      <h1>{dentist.name}</h1>
      <p>{dentist.profile?.title}</p>
      <p>{dentist.profile?.about}</p>
      <Link href={`/chat?with=${encodeURIComponent(dentist.id)}`}>Chat with Dentist</Link>
    </main>
  );
}
