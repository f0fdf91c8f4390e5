/**
 * The colours of the pictures: each has one for a light page and one for a dark page, and the picture chooses.
 *
 * @module
 */

/** A colour on a light and on a dark page. */
interface Colour {
  readonly light: string;
  readonly dark: string;
}

/** All colours, by what they are for. */
export const COLOURS = {
  ground: { light: "#ffffff", dark: "#0d1117" },
  border: { light: "#d1d9e0", dark: "#30363d" },
  ink: { light: "#1f2328", dark: "#e6edf3" },
  dim: { light: "#59636e", dark: "#9198a1" },
  grid: { light: "#e6eaef", dark: "#21262d" },
  green: { light: "#1a7f37", dark: "#3fb950" },
  yellow: { light: "#9a6700", dark: "#d29922" },
  red: { light: "#cf222e", dark: "#f85149" },
  blue: { light: "#0969da", dark: "#4493f8" },
  grey: { light: "#afb8c1", dark: "#656c76" },
} as const satisfies Readonly<Record<string, Colour>>;

/** The style of a picture that is drawn in the light colours: on a dark page it takes the dark ones. */
export function darkStyle(): string {
  const rules = Object.values(COLOURS).flatMap(({ light, dark }) => [
    `[fill="${light}"]{fill:${dark}}`,
    `[stroke="${light}"]{stroke:${dark}}`,
  ]);
  return `<style>@media (prefers-color-scheme: dark){${rules.join("")}}</style>`;
}

/** A text as the content of an element. */
export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
