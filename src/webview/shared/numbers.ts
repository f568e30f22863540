/** Four digits that count, the same way everywhere: "0.01234", "1.234e-5", "—" where there is none. */
export function formatNumber(value: number | undefined): string {
  if (value === undefined) return "—";
  if (!Number.isFinite(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude === 0) return "0";
  return magnitude >= 1e-3 && magnitude < 1e5 ? value.toPrecision(4) : value.toExponential(3);
}

export function formatCount(value: number): string {
  return value.toLocaleString();
}

/** A share from 0 to 1: "12.3 %". */
export function formatShare(value: number | undefined): string {
  if (value === undefined) return "—";
  return value === 0 ? "0 %" : `${(100 * value).toPrecision(3)} %`;
}

/** "13.4 MB", in powers of ten. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  // As it is rounded: 999,999 bytes are 1.0 MB.
  while (power < units.length - 1 && bytes / 1000 ** power >= (power === 0 ? 1000 : 999.95)) power++;
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}
