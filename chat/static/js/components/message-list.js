/** The messages of a room, scrolled. */
import {
  computed,
  inject,
  onBeforeUnmount,
  onBeforeUpdate,
  onMounted,
  onUpdated,
  ref,
  watch,
} from "../../vendor/vue.js";
import { html } from "../html.js";
import { buildRows } from "../rows.js";
import { ScrollKeeper } from "../scroll.js";
import { today } from "../today.js";
import { DayDivider } from "./day-divider.js";
import { JumpButton } from "./jump-button.js";
import { ListTop } from "./list-top.js";
import { MessageItem } from "./message-item.js";

const asRow = (row) =>
  row.type === "day"
    ? html`<${DayDivider} key=${row.key} label=${row.label} />`
    : html`
        <${MessageItem} key=${row.key} message=${row.message} first=${row.first} entry=${row.entry} />
      `;

export const MessageList = {
  props: ["room"],
  setup({ room }, { expose }) {
    const chat = inject("chat");
    const { state } = chat;
    const box = ref(null);
    const list = ref(null);
    const leftAt = ref(0); // the newest seq when one scrolled away from the bottom
    let keeper;

    const entries = computed(() => state.outbox.filter((entry) => entry.room === room.id));
    const rows = computed(() => buildRows(room.messages, entries.value, state.me, today.value));
    const missed = computed(() => {
      const isNew = ({ seq, author, deleted }) =>
        seq > leftAt.value && author.id !== state.me.id && !deleted;
      return room.atBottom ? 0 : room.messages.filter(isNew).length;
    });

    function bottomChanged(atBottom) {
      if (!atBottom) leftAt.value = room.log.newestSeq;
      room.atBottom = atBottom;
    }

    function read() {
      if (room.atBottom && document.visibilityState === "visible") chat.seen();
    }

    onMounted(() => {
      keeper = new ScrollKeeper(box.value, list.value, bottomChanged);
      document.addEventListener("visibilitychange", read);
      read();
    });
    onBeforeUpdate(() => keeper.observe());
    onUpdated(() => keeper.restore());
    onBeforeUnmount(() => {
      keeper.disconnect();
      document.removeEventListener("visibilitychange", read);
    });
    watch(() => [room.messages, room.atBottom, state.connection], read);
    expose({ toBottom: () => keeper.toBottom() });

    // The region tells readers what it is and lets the keyboard scroll it. It does not speak:
    // history would be read aloud with every page. What arrives is told by <announcer>.
    return () => html`
      <div class="stage">
        <div
          class="scroller"
          ref=${box}
          role="log"
          aria-live="off"
          aria-label=${`Messages in ${room.info.name}`}
          tabindex="0"
        >
          <div class="thread">
            <${ListTop} room=${room} load=${() => chat.loadOlder()} />
            <ol class="rows" ref=${list}>${rows.value.map(asRow)}</ol>
          </div>
        </div>
        ${
          !room.atBottom &&
          html`
          <${JumpButton} count=${missed.value} onJump=${() => keeper.toBottom({ smooth: true })} />
        `
        }
      </div>
    `;
  },
};
