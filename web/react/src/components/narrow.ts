/** Below it there is one pane at a time; the styles have the same. */
export const NARROW_BELOW_PX = 760;
