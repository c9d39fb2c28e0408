/** One message. The first of a group shows whose it is; those after it only when. */
import { inject } from "../../vendor/vue.js";
import { exactTime, narrowTime, time } from "../format.js";
import { html } from "../html.js";
import { Avatar } from "./avatar.js";
import { MessageText } from "./message-text.js";
import { UnsentNote } from "./unsent-note.js";

function stamp(message, format) {
  const at = new Date(message.created_at);
  return html`<time datetime=${message.created_at} title=${exactTime(at)}>${format(at)}</time>`;
}

function byline(message, mine) {
  return html`
    <p class="byline">
      <bdi class="author">${message.author.name}</bdi>
      ${mine && html`<span class="you">you</span>`}
      ${stamp(message, time)}
    </p>
  `;
}

export const MessageItem = {
  props: ["message", "first", "entry"],
  setup(props) {
    const { me } = inject("chat").state;
    return () => {
      const { message, first, entry } = props;
      const mine = message.author.id === me.id;
      const kinds = { first, mine, unsent: entry, failed: entry?.failure };
      return html`
        <li class=${["message", kinds]} data-id=${message.id} data-seq=${message.seq}>
          <div class="gutter">
            ${first ? html`<${Avatar} person=${message.author} />` : stamp(message, narrowTime)}
          </div>
          <div class="content">
            ${
              first
                ? byline(message, mine)
                : html`<span class="visually-hidden"><bdi>${message.author.name}</bdi></span>`
            }
            <${MessageText} message=${message} />
            ${entry && html`<${UnsentNote} entry=${entry} />`}
          </div>
        </li>
      `;
    };
  },
};
