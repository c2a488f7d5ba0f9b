export interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** Of the slope; too small where neighbouring points depend on each other. */
  readonly standardError: number;
}

/** The line with the least sum of squared distances. */
export function leastSquares(points: readonly (readonly [x: number, y: number])[]): Line {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const intercept = meanY - slope * meanX;
  const residual = points.reduce((sum, [x, y]) => sum + (y - intercept - slope * x) ** 2, 0);
  return { slope, intercept, standardError: Math.sqrt(residual / (n - 2) / spread) };
}
