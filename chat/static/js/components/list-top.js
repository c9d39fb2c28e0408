/** Above the oldest message: loads older ones as one comes near, or says that there are none. */
import { onBeforeUnmount, onMounted, ref, watch } from "../../vendor/vue.js";
import { html } from "../html.js";
import { Icon } from "./icon.js";

const NEAR = "800px 0px 0px 0px";

const beginning = (room) => html`
  <div class="beginning">
    <h2>This is the beginning of <bdi>${room.info.name}</bdi></h2>
    <p>
      ${
        room.messages.length
          ? "Everything said here comes after this."
          : "Nobody has written yet. Say hello."
      }
    </p>
  </div>
`;

const loading = () => html`<${Icon} name="spinner" />Loading older messages`;

const failed = (load) => html`
  <p>Older messages could not be loaded.${" "}
    <button type="button" class="link" onClick=${load}>Try again</button>
  </p>
`;

export const ListTop = {
  props: ["room", "load"],
  setup(props) {
    const place = ref(null);
    let observer;

    function observe() {
      observer?.disconnect();
      if (!place.value || !props.room.more || props.room.older !== "idle") return;
      // Observed anew after each page: a short one may leave this place in view, and an
      // observer tells only of changes.
      observer = new IntersectionObserver(([entry]) => entry.isIntersecting && props.load(), {
        root: place.value.closest(".scroller"),
        rootMargin: NEAR,
      });
      observer.observe(place.value);
    }

    onMounted(observe);
    onBeforeUnmount(() => observer?.disconnect());
    watch(() => [props.room.older, props.room.more], observe, { flush: "post" });

    return () => {
      if (!props.room.more) return beginning(props.room);
      return html`
        <div class="older" ref=${place}>
          ${props.room.older === "failed" && failed(props.load)}
          <p role="status">${props.room.older === "loading" && loading()}</p>
        </div>
      `;
    };
  },
};
