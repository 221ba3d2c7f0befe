import { signedIn } from "@/lib/session";

/** A ticket of chatd for whoever is signed in here: opaque, good once, for a minute. */
export async function POST(): Promise<Response> {
  const user = await signedIn();
  if (!user) return Response.json({ error: "not signed in" }, { status: 401 });
  const answer = await fetch(`${process.env.NEXT_PUBLIC_SOCKET_URL}/v1/tickets`, {
    method: "POST",
    headers: { Authorization: `Bearer ${process.env.CHATD_API_KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify({ user: user.id }),
    cache: "no-store",
  });
  return new Response(await answer.text(), {
    status: answer.status,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store" },
  });
}
