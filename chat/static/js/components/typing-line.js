/** Who is typing. Its line is always there, so that nothing moves when someone begins. */
import { html } from "../html.js";

function sentence(names) {
  if (names.length === 1) return html`<bdi>${names[0]}</bdi> is typing…`;
  if (names.length === 2)
    return html`<bdi>${names[0]}</bdi> and <bdi>${names[1]}</bdi> are typing…`;
  return names.length ? "Several people are typing…" : "";
}

export const TypingLine = ({ names }) => html`<p class="typing">${sentence(names)}</p>`;
TypingLine.props = ["names"];
