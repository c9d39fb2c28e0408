/** Why a message is not there yet, and what one can do about it. */
import { inject } from "../../vendor/vue.js";
import { explain } from "../failure.js";
import { html } from "../html.js";
import { Icon } from "./icon.js";

const NOTES = {
  rate_limited: "You are sending quickly. This goes out in a moment.",
  timeout: "The server is slow to answer. Trying again…",
  unavailable: "The server is slow to answer. Trying again…",
};

const noted = (text) => html`<p class="note"><${Icon} name="clock" />${text}</p>`;

const underway = () => html`
  <p class="sending" title="Sending">
    <${Icon} name="clock" /><span class="visually-hidden">Sending</span>
  </p>
`;

const refused = (failure, actions) => html`
  <div class="note failed" role="alert">
    <p><${Icon} name="warning" /><strong>Not sent.</strong> ${explain(failure)}</p>
    <div class="actions">
      ${actions.map(
        ([label, act]) => html`
        <button type="button" class="link" onClick=${act}>${label}</button>
      `,
      )}
    </div>
  </div>
`;

export const UnsentNote = {
  props: ["entry"],
  setup(props) {
    const { outgoing, state } = inject("chat");
    const edit = inject("edit");
    const id = props.entry.client_id;
    const actions = [
      ["Retry", () => outgoing.retry(id)],
      ["Edit", () => edit(id)],
      ["Discard", () => outgoing.discard(id)],
    ];

    return () => {
      const { failure, note } = props.entry;
      if (failure) return refused(failure, actions);
      if (state.connection !== "connected") return noted("Waiting for the connection.");
      return NOTES[note] ? noted(NOTES[note]) : underway();
    };
  },
};
