/** What was written: as text, with its web addresses as links. */
import { exactTime } from "../format.js";
import { html } from "../html.js";
import { splitLinks } from "../links.js";

const part = ({ text, href }) =>
  href ? html`<a href=${href} target="_blank" rel="noopener noreferrer">${text}</a>` : text;

export const MessageText = ({ message }) => {
  if (message.deleted) return html`<p class="body removed">Message removed</p>`;
  const edited = message.edited_at && exactTime(new Date(message.edited_at));
  return html`
    <p class="body" dir="auto">${splitLinks(message.body).map(part)}${
      edited && html`<span class="edited" title=${`Edited ${edited}`}> (edited)</span>`
    }</p>
  `;
};
MessageText.props = ["message"];
