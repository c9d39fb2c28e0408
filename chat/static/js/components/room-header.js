/** Which room this is, and whether one is connected. */
import { html } from "../html.js";
import { ConnectionStatus } from "./connection-status.js";

export const RoomHeader = ({ name, topic, connection }) => html`
  <header class="room-header">
    <div class="room-title">
      <h1><bdi>${name}</bdi></h1>
      ${topic && html`<p class="topic"><bdi>${topic}</bdi></p>`}
    </div>
    <${ConnectionStatus} state=${connection} />
  </header>
`;
RoomHeader.props = ["name", "topic", "connection"];
