/** The page: header, messages, composer, or what stands in their place. */
import { inject, provide, ref, watch } from "../../vendor/vue.js";
import { html } from "../html.js";
import { Announcer } from "./announcer.js";
import { Composer } from "./composer.js";
import { MessageList } from "./message-list.js";
import { OfflineNotice, SignedOutNotice } from "./notices.js";
import { RoomHeader } from "./room-header.js";
import { LoadError, MissingRoom, Skeleton } from "./states.js";

export const ChatApp = {
  props: ["product", "roomName"], // the name as the page was made; the API's is newer
  setup(props) {
    const chat = inject("chat");
    const { state } = chat;
    const list = ref(null);
    const composer = ref(null);

    provide("edit", (id) => composer.value.fill(chat.outgoing.discard(id)));
    watch(
      () => state.room?.info.name,
      (name) => {
        if (name) document.title = `${name} · ${props.product}`;
      },
    );

    function messages() {
      const { room, phase } = state;
      if (phase === "missing") return html`<${MissingRoom} />`;
      if (phase === "failed") {
        return html`<${LoadError} failure=${state.failure} onRetry=${() => chat.start()} />`;
      }
      if (room?.status === "failed") {
        return html`<${LoadError} failure=${room.failure} onRetry=${() => chat.openRoom()} />`;
      }
      if (room?.status !== "ready") return html`<${Skeleton} />`;
      return html`<${MessageList} key=${room.id} ref=${list} room=${room} />`;
    }

    function notice() {
      if (state.ended) return html`<${SignedOutNotice} reason=${state.ended} />`;
      if (state.connection !== "offline") return null;
      return html`<${OfflineNotice} onRetry=${() => chat.reconnect()} />`;
    }

    function writing() {
      const { room } = state;
      return html`
        <div class="writing">
          ${notice()}
          ${
            room
              ? html`
                <${Composer}
                  key=${room.id}
                  ref=${composer}
                  room=${room}
                  disabled=${Boolean(state.ended)}
                  onSent=${() => list.value?.toBottom()}
                />
              `
              : html`<div class="composer"><div class="field" /></div><div class="foot" />`
          }
        </div>
      `;
    }

    return () => html`
      <${RoomHeader}
        name=${state.room?.info.name ?? props.roomName}
        topic=${state.room?.info.topic}
        connection=${state.connection}
      />
      ${messages()}
      ${["starting", "ready"].includes(state.phase) && writing()}
      <${Announcer} />
    `;
  },
};
