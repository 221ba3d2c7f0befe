/** Line icons of 24 x 24, drawn for this page; always beside a name for those who don't see them. */

const PATHS = {
  back: "M15 5l-7 7 7 7",
  plus: "M12 5v14M5 12h14",
  group: "M9 11a3 3 0 100-6 3 3 0 000 6zM3 19c0-3 3-5 6-5s6 2 6 5M16 11a2.5 2.5 0 100-5M17 14c2.5.3 4 2 4 4.5",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 017 0v3",
  signOut: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  dots: "M5 12h.01M12 12h.01M19 12h.01",
  send: "M4 12l16-8-5 16-3.5-6.5zM11.5 13.5L20 4",
  check: "M5 13l4 4L19 7",
  close: "M6 6l12 12M18 6L6 18",
  down: "M12 5v14M6 13l6 6 6-6",
  pin: "M9 4h6l-1 6 3 3v2H7v-2l3-3zM12 15v5",
  muted: "M4 9v6h4l5 4V5L8 9zM17 9l4 6M21 9l-4 6",
  search: "M10.5 17a6.5 6.5 0 100-13 6.5 6.5 0 000 13zM15.5 15.5L20 20",
  bell: "M6 16V11a6 6 0 0112 0v5l1.5 2h-15zM10 20h4",
  reply: "M9 7L4 12l5 5M4 12h9c4 0 6 2 7 6",
  chat: "M5 5h14a2 2 0 012 2v8a2 2 0 01-2 2h-7l-5 4v-4H5a2 2 0 01-2-2V7a2 2 0 012-2z",
  archive: "M4 5h16v4H4zM6 9v10h12V9M10 13h4",
  attach: "M20 11l-8.5 8.5a5 5 0 01-7-7L13 4a3.3 3.3 0 015 5l-8.5 8.5a1.7 1.7 0 01-2.4-2.4L15 7",
  camera: "M4 8h3l2-3h6l2 3h3v11H4zM12 16.5a3.5 3.5 0 100-7 3.5 3.5 0 000 7z",
  file: "M6 3h8l4 4v14H6zM14 3v4h4",
} as const;

export function Icon({ name, size = 20 }: { name: keyof typeof PATHS; size?: number }) {
  return (
    <svg
      className={`icon icon-${name}`}
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth={name === "dots" ? 3 : 1.8}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
