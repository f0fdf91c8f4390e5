/**
 * The written form of a size, for tables and pages.
 *
 * @module
 */

/**
 * Writes a size.
 *
 * @param bytes The size.
 * @returns Such as `61 MiB`.
 */
export function formatSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes, unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
