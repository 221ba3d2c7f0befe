import { redirect } from "next/navigation";
import { ChatInterface } from "@/components/chat/ChatInterface";
import { signedIn } from "@/lib/session";

export default async function ChatPage({ searchParams }: { searchParams: Promise<{ with?: string | string[] }> }) {
  const user = await signedIn();
  if (!user) redirect("/sign-in?chat");
  const { with: person } = await searchParams;
  return (
    <main className="chat-page">
      <ChatInterface userId={user.id} with={typeof person === "string" ? person : undefined} />
    </main>
  );
}
