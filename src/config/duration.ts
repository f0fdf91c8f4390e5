/**
 * The written form of a time that has passed or will pass, for messages and tables.
 *
 * @module
 */

/**
 * Writes a time with its two largest units.
 *
 * @param ms The time in milliseconds.
 * @returns Such as `2 d 3 h`, `1 min 5 s`, `0.4 s` or `20 ms`.
 */
export function formatDuration(ms: number): string {
  // Inside, as in formatSize: the page of the metrics service runs the text of this function.
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]] as const;
  const tenths = Math.round(ms / 100);
  if (tenths < 1) return `${Math.round(ms)} ms`;
  if (tenths < 100) return `${(tenths / 10).toFixed(1)} s`;
  const parts: string[] = [];
  let seconds = Math.round(ms / 1000);
  for (const [unit, length] of units) {
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    if (count > 0 || parts.length > 0) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).filter((part) => !part.startsWith("0 ")).join(" ");
}
