/** Small line drawings. Each stands beside a text that says the same, so it is hidden from readers. */
import { html } from "../html.js";

const PATHS = {
  check: "M3.5 8.5l3 3 6-7",
  spinner: "M8 2a6 6 0 1 0 6 6",
  offline: "M2 2l12 12M3 7a8 8 0 0 1 3-1.7M10 5.3A8 8 0 0 1 13 7M5.3 9.7a4 4 0 0 1 2.2-1M8 13h.01",
  ended: "M10 3H4v10h6M7.5 8H14M11.5 5.5L14 8l-2.5 2.5",
  clock: "M8 4.5V8l2.3 1.5M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2",
  warning: "M8 2.5L14.5 13.5h-13zM8 6.5v3M8 11.6h.01",
  down: "M8 3v10M3.5 8.5L8 13l4.5-4.5",
  send: "M2.5 13.5L14 8 2.5 2.5 4.5 8zM4.5 8H9",
};

export const Icon = ({ name }) => html`
  <svg class=${["icon", `icon-${name}`]} viewBox="0 0 16 16" aria-hidden="true">
    <path d=${PATHS[name]} />
  </svg>
`;
Icon.props = ["name"];
