/** What stands in the list's place while there is none. */
import { html } from "../html.js";
import { explain } from "../failure.js";

const LINES = ["long", "short", "medium", "long", "medium", "short"];

export const Skeleton = () => html`
  <div class="scroller">
    <p class="visually-hidden" role="status">Loading messages</p>
    <ol class="skeleton" aria-hidden="true">
      ${LINES.map(
        (width) => html`
        <li>
          <span class="bone disc" />
          <span><span class="bone name" /><span class=${["bone", width]} /></span>
        </li>
      `,
      )}
    </ol>
  </div>
`;

export const LoadError = ({ failure, onRetry }) => html`
  <div class="blank" role="alert">
    <h2>The messages could not be loaded</h2>
    <p>${explain(failure)}</p>
    <button type="button" class="button primary" onClick=${onRetry}>Try again</button>
  </div>
`;
LoadError.props = ["failure", "onRetry"];

export const MissingRoom = () => html`
  <div class="blank">
    <h2>There is no such room</h2>
    <p>It may have been renamed, or you are not in it.</p>
    <a class="button primary" href="/chat">Open the chat</a>
  </div>
`;
