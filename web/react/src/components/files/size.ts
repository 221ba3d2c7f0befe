const KILO = 1_024;

/** "34 MB", "1.2 MB", "830 kB", as file managers count them. */
export function sizeOf(bytes: number): string {
  if (bytes < KILO) return `${bytes} B`;
  if (bytes < KILO * KILO) return `${Math.round(bytes / KILO)} kB`;
  const mega = bytes / KILO / KILO;
  return `${mega < 10 ? mega.toFixed(1) : Math.round(mega)} MB`;
}
