// The browser itself connects again, and says which message was the last one.
import { last, show, showLive } from "./messages.js";

const events = new EventSource(`/events?after=${last}`);
events.onopen = () => showLive(true);
events.onerror = () => showLive(false);
events.onmessage = ({ data }) => show(JSON.parse(data));
