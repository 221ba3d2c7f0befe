import { prisma } from "@/lib/prisma";
import { signedIn } from "@/lib/session";

/**
 * The site's own server code writes into a conversation, in its own tables: those who are in it see the message within
 * two seconds, as chatd looks there.
 */
export async function POST(request: Request): Promise<Response> {
  const user = await signedIn();
  if (!user) return Response.json({ error: "not signed in" }, { status: 401 });
  const { conversationId, at } = (await request.json()) as { conversationId?: unknown; at?: unknown };
  if (typeof conversationId !== "string" || typeof at !== "string") {
    return Response.json({ error: "conversationId and at are needed" }, { status: 400 });
  }
  const isMine = { conversationId, userId: user.id, leftAt: null };
  if (!(await prisma.conversationParticipant.findFirst({ where: isMine }))) {
    return Response.json({ error: "no such conversation" }, { status: 404 });
  }
  const content = `Appointment booked: ${at.slice(0, 40)}`;
  const message = await prisma.message.create({ data: { conversationId, senderId: user.id, content } });
  return Response.json({ id: message.id }, { status: 201 });
}
