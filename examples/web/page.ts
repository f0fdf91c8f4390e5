/**
 * The pages of the board.
 *
 * @module
 */
import { html } from "hono/html";
import type { Message } from "./database.ts";

type Html = ReturnType<typeof html>;

/**
 * The page with a form, which static/board.js keeps up to date over a WebSocket.
 *
 * @param messages The messages that it shows at first.
 */
export function boardPage(messages: readonly Message[]): Html {
  return page(
    { title: "Board", script: "board.js" },
    html`
      <form method="post" enctype="multipart/form-data">
        <input name="author" placeholder="Your name" required maxlength="40">
        <input name="text" placeholder="Your message" required maxlength="2000" autocomplete="off">
        <input name="file" type="file">
        <button>Post</button>
      </form>
      ${list(messages)}
    `,
  );
}

/**
 * The page for a screen on the wall, which static/wall.js keeps up to date by an event stream.
 *
 * @param messages The messages that it shows at first.
 */
export function wallPage(messages: readonly Message[]): Html {
  return page({ title: "Wall", script: "wall.js" }, list(messages));
}

function page({ title, script }: { title: string; script: string }, content: Html): Html {
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>${title}</title>
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="/board.css">
        <script type="module" src="/${script}"></script>
      </head>
      <body>
            <h1>${title} <small id="state">not live</small></h1>
            ${content}
          </body>
    </html>
  `;
}

function list(messages: readonly Message[]): Html {
  return html`<ol id="messages" data-last="${messages.at(-1)?.id ?? 0}">
    ${messages.toReversed().map(item)}
  </ol>`;
}

function item({ id, author, text, at, fileName }: Message): Html {
  const file = fileName !== null && html`
    <a href="/files/${id}">${fileName}</a>
  `;
  return html`
    <li
      id="message-${id}"><b>${author}</b> <time>${at}</time> <span>${text}</span>${file}</li>
  `;
}
