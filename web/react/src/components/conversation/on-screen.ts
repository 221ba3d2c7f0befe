/** Part of the history that is on screen. */

export function isAttentive(): boolean {
  return document.visibilityState === "visible" && document.hasFocus();
}

/** Messages of which half, or half a view, is to be seen; and whether the "New messages" line is. */
export function rowsOnScreen(view: HTMLElement): { readonly seqs: readonly number[]; readonly divider: boolean } {
  const { top, bottom, height } = view.getBoundingClientRect();
  const seqs: number[] = [];
  let divider = false;
  for (const row of view.querySelectorAll<HTMLElement>("[data-seq], [data-divider]")) {
    const rect = row.getBoundingClientRect();
    if (rect.bottom <= top) continue;
    if (rect.top >= bottom) break;
    const shown = Math.min(rect.bottom, bottom) - Math.max(rect.top, top);
    if (shown < Math.min(rect.height, height) / 2) continue;
    if (row.dataset["seq"] === undefined) divider = true;
    else seqs.push(Number(row.dataset["seq"]));
  }
  return { seqs, divider };
}
