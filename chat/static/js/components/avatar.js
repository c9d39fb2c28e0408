/** A person's initials on their colour. The name stands beside it. */
import { html } from "../html.js";
import { initials, tint } from "../people.js";

export const Avatar = ({ person }) => html`
  <span class=${["avatar", tint(person.id)]} aria-hidden="true">${initials(person.name)}</span>
`;
Avatar.props = ["person"];
