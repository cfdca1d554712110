/** A grid over the earth; each cell is at least a given length from edge to edge, north–south and east–west. */
export interface Grid {
  /** Rows from pole to pole. */
  readonly rows: number;
  /**
   * Cells of the row of a latitude.
   *
   * @param row from 0 at the south pole
   */
  cellsOf(row: number): number;
  /** @param latitude from −90 to 90 */
  rowOf(latitude: number): number;
  /** Centre of the row, 1e-7 degrees. */
  latitudeOf(row: number): number;
  /**
   * Centre of the cell of a longitude in a row, 1e-7 degrees.
   *
   * @param longitude from −180 to 180
   */
  longitudeOf(row: number, longitude: number): number;
}

/** WGS 84: the shortest degree of latitude lies at the equator, m. */
const LEAST_LATITUDE_DEGREE_M = 110_574;
/** WGS 84 equatorial radius, m: a degree of longitude at latitude φ is at least a · cos φ · π / 180. */
const EQUATOR_RADIUS_M = 6_378_137;
const RADIANS = Math.PI / 180;
/** Output units a degree. */
const STEPS = 1e7;

/** @param metres least side of a cell, m, above 0 */
export function grid(metres: number): Grid {
  const rows = Math.max(1, Math.floor((180 * LEAST_LATITUDE_DEGREE_M) / metres));
  const height = 180 / rows;
  const cellsOf = (row: number): number => {
    // The parallel nearest to a pole is the shortest edge of the row.
    const south = Math.abs(row * height - 90);
    const north = Math.abs((row + 1) * height - 90);
    const shortest = EQUATOR_RADIUS_M * Math.cos(Math.min(90, Math.max(south, north)) * RADIANS) * 2 * Math.PI;
    return Math.max(1, Math.floor(shortest / metres));
  };
  return {
    rows,
    cellsOf,
    rowOf: (latitude) => Math.min(rows - 1, Math.max(0, Math.floor((latitude + 90) / height))),
    latitudeOf: (row) => Math.round(((row + 0.5) * height - 90) * STEPS),
    longitudeOf: (row, longitude) => {
      const width = 360 / cellsOf(row);
      const cell = Math.min(cellsOf(row) - 1, Math.floor((wrap(longitude) + 180) / width));
      return Math.round(((cell + 0.5) * width - 180) * STEPS);
    },
  };
}

/** The meridian of 180 degrees belongs to the west; a quotient would round points right before it over it. */
function wrap(longitude: number): number {
  return longitude >= 180 ? longitude - 360 : longitude;
}
