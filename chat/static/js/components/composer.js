/** Where one writes. */
import { computed, inject, onMounted, ref, watch } from "../../vendor/vue.js";
import { html } from "../html.js";
import { cleanBody, countCharacters } from "../text.js";
import { Icon } from "./icon.js";
import { TypingLine } from "./typing-line.js";

const WARN_FROM = 200;

/** An input method's Enter picks a word; Safari tells that only by the old key code. */
const composing = (event) => event.isComposing || event.keyCode === 229;

const amount = (number) => number.toLocaleString();

export const Composer = {
  props: ["room", "disabled"],
  emits: ["sent"],
  setup(props, { emit, expose }) {
    const chat = inject("chat");
    const { id } = props.room;
    const limit = chat.state.me.limits.body;
    const box = ref(null);
    const text = ref(chat.outgoing.drafts.load(id));
    const body = computed(() => cleanBody(text.value));
    const left = computed(() => limit - countCharacters(body.value));

    const hindrance = computed(() => {
      if (left.value < 0)
        return `${amount(-left.value)} over the limit of ${amount(limit)} characters`;
      if (chat.state.outbox.length && chat.outgoing.full)
        return "Too many messages wait to be sent";
      return "";
    });
    const remark = computed(() => {
      if (hindrance.value) return hindrance.value;
      return left.value <= WARN_FROM ? `${amount(left.value)} left` : "";
    });
    const ready = computed(() => body.value && !hindrance.value && !props.disabled);

    watch(text, (now) => chat.outgoing.drafts.save(id, now));
    onMounted(() => {
      // On a phone it would raise the keyboard over the messages one came to read.
      if (window.matchMedia("(hover: hover) and (pointer: fine)").matches) box.value.focus();
    });

    function typed(event) {
      text.value = event.target.value;
      if (body.value) chat.outgoing.typed(id);
    }

    function pressed(event) {
      if (event.key !== "Enter" || event.shiftKey || event.altKey || composing(event)) return;
      event.preventDefault();
      submit();
    }

    function submitted(event) {
      event.preventDefault();
      submit();
    }

    function submit() {
      if (!ready.value) return;
      chat.outgoing.send(id, body.value);
      text.value = "";
      emit("sent");
      box.value.focus();
    }

    /** Puts a text back, before what is being typed. */
    function fill(given) {
      text.value = [given, text.value].filter(Boolean).join("\n");
      box.value.focus();
    }
    expose({ fill });

    const field = (label) => html`
      <div class="field" data-text=${`${text.value}\n`}>
        <textarea
          id="composer"
          ref=${box}
          rows="1"
          value=${text.value}
          disabled=${props.disabled}
          placeholder=${props.disabled ? "Sign in to write" : label}
          aria-label=${label}
          aria-describedby="composer-remark"
          aria-invalid=${left.value < 0}
          autocomplete="off"
          enterkeyhint="send"
          onInput=${typed}
          onKeydown=${pressed}
        />
      </div>
    `;
    const hint = () => html`<span class="hint">Enter sends, Shift+Enter begins a new line</span>`;

    return () => html`
      <form class="composer" onSubmit=${submitted}>
        ${field(`Message ${props.room.info.name}`)}
        <button class="send" disabled=${!ready.value} title="Send">
          <${Icon} name="send" /><span class="visually-hidden">Send</span>
        </button>
      </form>
      <div class="foot">
        <${TypingLine} names=${chat.state.typing} />
        <p id="composer-remark" class=${["remark", { over: hindrance.value }]} role="status">
          ${remark.value || (!props.disabled && hint())}
        </p>
      </div>
    `;
  },
};
