/** Tells a screen reader what arrives while one is here, and nothing else. */
import { inject, ref, watch } from "../../vendor/vue.js";
import { html } from "../html.js";

const KEPT = 10_000; // long enough to be taken up; a region that grows would be read as a page
const LONGEST = 300;

export const Announcer = {
  setup() {
    const { state } = inject("chat");
    const arrivals = ref([]);

    watch(
      () => state.arrival,
      (message) => {
        arrivals.value = [...arrivals.value, message];
        setTimeout(
          () => (arrivals.value = arrivals.value.filter((other) => other !== message)),
          KEPT,
        );
      },
    );

    return () => html`
      <div class="visually-hidden" aria-live="polite" aria-relevant="additions">
        ${arrivals.value.map(
          ({ id, author, body }) => html`
          <p key=${id}>${author.name}: ${body.slice(0, LONGEST)}</p>
        `,
        )}
      </div>
    `;
  },
};
