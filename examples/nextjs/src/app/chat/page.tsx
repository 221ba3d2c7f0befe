import { redirect } from "next/navigation";
import { ChatInterface as Before } from "@/before/components/chat/ChatInterface";
import { ChatInterface } from "@/components/chat/ChatInterface";
import { signedIn } from "@/lib/session";

export default async function ChatPage({ searchParams }: { searchParams: Promise<{ with?: string | string[] }> }) {
  const user = await signedIn();
  if (!user) redirect("/sign-in?chat");
  const { with: person } = await searchParams;
  const Chat = process.env.CHAT_FRONT_END === "socketio" ? Before : ChatInterface;
  return (
    <main className="chat-page">
      <Chat userId={user.id} with={typeof person === "string" ? person : undefined} />
    </main>
  );
}
