/** The page's own style sheet, made to fit into a shadow root of another page. */

import page from "./components/styles/index.css?inline";

// Nothing of the host page comes in but what it sets on `.chatd`, and nothing goes out.
const SHELL = `
@layer shell, page;
@layer shell {
  :host { display: block; height: 100%; }
  .shell { all: initial; display: block; color-scheme: light dark; container: chat / inline-size; }
}
.shell { height: 100%; position: relative; overflow: clip; }
`;

/** Returns the page's style sheet for a part of a page, which goes by its own size instead of the window's. */
export function embedded(css: string): string {
  return css
    .replace(/@media \(max-width:\s*(\d+px)\)/g, "@container chat (max-width: $1)")
    .replace(/(^|[\s;{])height:\s*100dvh/g, "$1height: 100%")
    .replace(/:root\b/g, ":host")
    .replace(/(^|[\s,{}])(?:html|body|#root)(?=[\s,{])/g, "$1.shell");
}

let sheet: CSSStyleSheet | null = null;

/** Returns the one sheet of all shadow roots; made by script, as a strict Content-Security-Policy allows. */
export function styleSheet(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(SHELL + embedded(page));
  }
  return sheet;
}
