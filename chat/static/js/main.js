/** Starts the chat on the page that carries it. */
import { createApp } from "../vendor/vue.js";
import { Chat } from "./chat.js";
import { ChatApp } from "./components/chat-app.js";

const place = document.getElementById("main");
const { room, roomName, product } = place.dataset;
const chat = new Chat(room);

createApp(ChatApp, { product, roomName }).provide("chat", chat).mount(place);
chat.start();
