const MAXIMUM_TERMS = 500;
const EPSILON = 2 ** -52;
const TINY = 1e-300;

/** Lanczos' approximation of Γ with g = 7 and nine terms; relative error about 1e-15 (C. Lanczos, SIAM J. Numer. Anal. B 1, 1964). */
const LANCZOS_G = 7;
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** ln Γ(x) for x > 0. */
export function logGamma(x: number): number {
  // Γ(x) = Γ(x + 1) / x keeps the argument where the approximation is good.
  if (x < 0.5) return logGamma(x + 1) - Math.log(x);
  let sum = LANCZOS[0]!;
  for (let i = 1; i < LANCZOS.length; i++) sum += LANCZOS[i]! / (x - 1 + i);
  const t = x - 0.5 + LANCZOS_G;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/**
 * The regularized incomplete beta function I_x(a, b), by the continued fraction 8.17.22 of NIST's Digital Library of
 * Mathematical Functions, evaluated with the modified Lentz method.
 */
export function regularizedBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast below the mean; above it, I_x(a, b) = 1 - I_{1-x}(b, a).
  if (x > (a + 1) / (a + b + 2)) return 1 - regularizedBeta(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) - logBeta(a, b)) / a;
  return front * continuedFraction(x, a, b);
}

function logBeta(a: number, b: number): number {
  return logGamma(a) + logGamma(b) - logGamma(a + b);
}

function continuedFraction(x: number, a: number, b: number): number {
  const away = (value: number): number => (Math.abs(value) < TINY ? TINY : value);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m <= MAXIMUM_TERMS; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    result *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    const factor = d * c;
    result *= factor;
    if (Math.abs(factor - 1) <= EPSILON) break;
  }
  return result;
}

/**
 * The quantile function of the beta distribution: the x with I_x(a, b) = p. Newton's method, kept inside a bracket that
 * bisection narrows, so that it cannot run away where the density is infinite (a or b < 1).
 */
export function betaQuantile(p: number, a: number, b: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`a probability must lie in 0–1, not ${p}`);
  if (p === 0 || p === 1) return p;
  if (a === b && p === 0.5) return 0.5;
  // Near 1 the distance to 1 is what can be found precisely.
  if (p > regularizedBeta(0.5, a, b)) return 1 - lowerQuantile(1 - p, b, a);
  return lowerQuantile(p, a, b);
}

/** The quantile where it is at most one half. */
function lowerQuantile(p: number, a: number, b: number): number {
  let low = 0;
  let high = 0.5;
  // The leading term of I_x(a, b) for small x is x^a / (a·B(a, b)).
  let x = Math.min(Math.exp((Math.log(p) + Math.log(a) + logBeta(a, b)) / a), high);
  for (let iteration = 0; iteration < 200; iteration++) {
    const error = regularizedBeta(x, a, b) - p;
    if (error > 0) high = x;
    else low = x;
    const density = Math.exp((a - 1) * Math.log(x) + (b - 1) * Math.log1p(-x) - logBeta(a, b));
    let next = x - error / density;
    if (!(next > low && next < high)) next = (low + high) / 2;
    if (Math.abs(next - x) <= 2 * EPSILON * x) return next;
    x = next;
  }
  return x;
}
