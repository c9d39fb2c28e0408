/**
 * Markup in JavaScript: htm's tagged template, bound to Vue's h().
 * Vue's own template compiler needs eval, which the Content-Security-Policy forbids.
 */
import { h } from "../vendor/vue.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(function createNode(type, props, ...children) {
  // htm reuses the node of markup that holds no values; Vue mounts each node once.
  // 3 tells htm that this one is never static.
  this[0] = 3;
  if (typeof type === "string") return h(type, props, children);
  return h(type, props, children.length ? { default: () => children } : null);
});
