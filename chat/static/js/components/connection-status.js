/** Whether one is connected: a picture and a word, never a colour alone. */
import { html } from "../html.js";
import { Icon } from "./icon.js";

const STATES = {
  connecting: { icon: "spinner", label: "Connecting…" },
  connected: { icon: "check", label: "Connected" },
  reconnecting: { icon: "spinner", label: "Reconnecting…" },
  offline: { icon: "offline", label: "Offline" },
  ended: { icon: "ended", label: "Signed out" },
};

export const ConnectionStatus = ({ state }) => html`
  <p class=${["connection", `is-${state}`]} role="status" data-state=${state}>
    <${Icon} name=${STATES[state].icon} />${STATES[state].label}
  </p>
`;
ConnectionStatus.props = ["state"];
