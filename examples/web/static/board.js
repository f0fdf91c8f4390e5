// A WebSocket that is opened again when it ends: 1001 at a reload, 1006 when a process is killed. A message is sent
// again until it is answered; its key keeps it from being posted twice.
import { last, show, showLive } from "./messages.js";

const FIRST_MS = 100, LONGEST_MS = 5_000;

const form = document.querySelector("form"), unanswered = new Map();
let socket, waitMs = FIRST_MS;

function connect() {
  socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/live?after=${last}`);
  socket.onopen = () => {
    waitMs = FIRST_MS;
    showLive(true);
    for (const draft of unanswered.values()) send(draft);
  };
  socket.onmessage = ({ data }) => {
    const { messages = [], answered, error } = JSON.parse(data);
    for (const message of messages) show(message);
    if (answered !== undefined) unanswered.delete(answered);
    if (error !== undefined) alert(error);
  };
  socket.onclose = () => {
    showLive(false);
    // Not all browsers in the same moment.
    setTimeout(connect, waitMs * (0.5 + Math.random()));
    waitMs = Math.min(2 * waitMs, LONGEST_MS);
  };
}

function send(draft) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(draft));
}

/** A file goes by HTTP. */
async function upload(draft, file) {
  const body = new FormData();
  for (const [name, value] of Object.entries(draft)) body.append(name, value);
  body.append("file", file);
  for (;; await new Promise((resolve) => setTimeout(resolve, LONGEST_MS))) {
    try {
      const response = await fetch("/api/messages", { method: "POST", body });
      if (response.status < 500) return response.ok || alert((await response.json()).error);
    } catch {
      // Its process has ended, or the network is away.
    }
  }
}

form.onsubmit = (event) => {
  event.preventDefault();
  const { author, text, file } = form.elements;
  const draft = { key: crypto.randomUUID(), author: author.value, text: text.value };
  if (file.files.length > 0) upload(draft, file.files[0]);
  else {
    unanswered.set(draft.key, draft);
    send(draft);
  }
  text.value = file.value = "";
};

connect();
