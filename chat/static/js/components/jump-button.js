/** The way back to the newest message, and how many came meanwhile. */
import { html } from "../html.js";
import { Icon } from "./icon.js";

function label(count) {
  if (!count) return "Jump to newest";
  return count === 1 ? "1 new message" : `${count} new messages`;
}

export const JumpButton = ({ count, onJump }) => html`
  <button type="button" class=${["jump", { news: count }]} onClick=${onJump}>
    <${Icon} name="down" />${label(count)}
  </button>
`;
JumpButton.props = ["count", "onJump"];
