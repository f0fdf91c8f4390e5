/** What both pages do with messages. */
const list = document.getElementById("messages"), state = document.getElementById("state");

/** The last message that the page shows. */
export let last = Number(list.dataset.last);

/** Says whether new messages come by themselves. */
export function showLive(isLive) {
  state.textContent = isLive ? "live" : "connecting";
  state.toggleAttribute("data-live", isLive);
}

/** Shows a message above the others. */
export function show({ id, author, text, at, fileName }) {
  if (id <= last) return;
  last = id;
  const item = document.createElement("li");
  item.id = `message-${id}`;
  item.append(element("b", author), " ", element("time", at), " ", element("span", text));
  if (fileName !== null) {
    const link = element("a", fileName);
    link.href = `/files/${id}`;
    item.append(" ", link);
  }
  list.prepend(item);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
