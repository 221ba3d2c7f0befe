"""Who is who: signed tokens, the secret that signs them, and how a connection shows one."""
