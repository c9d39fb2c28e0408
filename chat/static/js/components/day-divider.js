/** Where a day begins. */
import { html } from "../html.js";

export const DayDivider = ({ label }) => html`
  <li class="day"><span>${label}</span></li>
`;
DayDivider.props = ["label"];
