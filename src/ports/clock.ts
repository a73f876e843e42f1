/** The time as an argument: milliseconds since the Unix epoch. */
export interface Clock {
  nowMs(): number;
}
