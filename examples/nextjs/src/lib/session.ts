import { getServerSession } from "next-auth";
import { authOptions } from "./auth";

export interface SignedIn {
  readonly id: string;
  readonly name: string;
}

/** Who is signed in to this site; null for nobody. */
export async function signedIn(): Promise<SignedIn | null> {
  const session = await getServerSession(authOptions);
  const user = session?.user as { id?: string; name?: string | null } | undefined;
  return user?.id ? { id: user.id, name: user.name ?? user.id } : null;
}
