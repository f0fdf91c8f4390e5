/**
 * Draws charts: its input is a list of specifications of Vega-Lite as JSON, its output the list of their pictures as
 * SVG.
 *
 * It is a program of its own: `deno.lock` would name the packages otherwise, and every start of the project would
 * fetch them. `charts.lock` is the lock file of this program alone.
 *
 * @module
 */
const VEGA = "npm:vega@6.4.0", VEGA_LITE = "npm:vega-lite@6.5.0";

const [vega, { compile }] = await Promise.all([import(VEGA), import(VEGA_LITE)]);

const pictures: string[] = [];
for (const spec of JSON.parse(await new Response(Deno.stdin.readable).text())) {
  const view = new vega.View(vega.parse(compile(spec).spec), { renderer: "none" });
  pictures.push(await view.toSVG());
}
console.log(JSON.stringify(pictures));
