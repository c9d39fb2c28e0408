/** What one has to know before writing: that there is no connection, or no session any more. */
import { html } from "../html.js";
import { signInAddress } from "../sign-in.js";
import { Icon } from "./icon.js";

const REASONS = {
  signed_out: "You signed out in another tab or window.",
  expired: "Your session has run out.",
  replaced: "You signed in again in another tab or window.",
  revoked: "Your organisation ended your session.",
};

export const OfflineNotice = ({ onRetry }) => html`
  <div class="notice">
    <${Icon} name="offline" />
    <p><strong>No connection.</strong> What you send is kept here and goes out when it is back.</p>
    <button type="button" class="button small" onClick=${onRetry}>Try now</button>
  </div>
`;
OfflineNotice.props = ["onRetry"];

export const SignedOutNotice = ({ reason }) => html`
  <div class="notice" role="alert">
    <${Icon} name="ended" />
    <p><strong>You have been signed out.</strong> ${REASONS[reason]} What you typed is kept here.</p>
    <a class="button small primary" href=${signInAddress()}>Sign in</a>
  </div>
`;
SignedOutNotice.props = ["reason"];
