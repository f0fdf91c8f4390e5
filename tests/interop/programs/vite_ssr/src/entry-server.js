/**
 * @param {string} _url
 */
export function render(_url) {
  const html = `
    <h1>Hello Vite!</h1>
    <button id="counter" type="button"></button>
  `;
  return { html };
}
