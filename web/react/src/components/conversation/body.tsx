import { Fragment, type ReactNode } from "react";

const LINK = /\bhttps?:\/\/[^\s<>"'`]+/gi;
const EMOJI = /^(?:\p{Extended_Pictographic}|\p{Emoji_Component}|\p{Regional_Indicator}|\u200d|\ufe0f|\s)+$/u;
const MAX_BIG_EMOJI = 6;

/** Text of others: never markup. Web addresses can be pressed; the text itself stays to the letter. */
export function Body({ text }: { text: string }) {
  return (
    <div className={`body${isEmojiOnly(text) ? " emoji" : ""}`} dir="auto">
      {withLinks(text)}
    </div>
  );
}

function withLinks(text: string): ReactNode {
  const parts: ReactNode[] = [];
  let at = 0;
  for (const { address, index } of linksIn(text)) {
    if (index > at) parts.push(<Fragment key={at}>{text.slice(at, index)}</Fragment>);
    parts.push(
      <a key={index} href={address} target="_blank" rel="noopener noreferrer nofollow">
        {address}
      </a>,
    );
    at = index + address.length;
  }
  if (at === 0) return text;
  if (at < text.length) parts.push(<Fragment key={at}>{text.slice(at)}</Fragment>);
  return parts;
}

/** Web addresses, without the full stop or bracket that ends the sentence around them. */
export function linksIn(text: string): { address: string; index: number }[] {
  return [...text.matchAll(LINK)]
    .map(({ 0: found, index }) => ({ address: found.replace(/[.,;:!?)\]}…]+$/u, ""), index }))
    .filter(({ address }) => URL.canParse(address));
}

export function isEmojiOnly(text: string): boolean {
  const trimmed = text.trim();
  if (!/\p{Extended_Pictographic}|\p{Regional_Indicator}/u.test(trimmed) || !EMOJI.test(trimmed)) return false;
  return [...new Intl.Segmenter().segment(trimmed.replace(/\s/g, ""))].length <= MAX_BIG_EMOJI;
}
