import { Fragment } from "react";

/** Around each hit in a snippet of the server. */
const HIT = /\u0002([^\u0003]*)\u0003/; // eslint-disable-line no-control-regex -- these two are the protocol's marks

/** The words that were looked for stand out; the text itself is text. */
export function Snippet({ text }: { text: string }) {
  return (
    <bdi>
      {text
        .split(HIT)
        .map((part, index) => (index % 2 ? <mark key={index}>{part}</mark> : <Fragment key={index}>{part}</Fragment>))}
    </bdi>
  );
}
