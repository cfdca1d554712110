import { seeded } from './random.ts';

/** What the simulated electric car does at one moment; physical units, signs as in ISO 8855 (left and forward positive). */
export interface DriveState {
  /** Seconds since the start. */
  time: number;
  /** m/s */
  speed: number;
  /** m/s² */
  accelLong: number;
  accelLat: number;
  /** rad/s */
  yawRate: number;
  /** Degrees at the steering wheel. */
  steering: number;
  /** Pedals, %. */
  throttle: number;
  brake: number;
  /** Degrees, WGS 84. */
  latitude: number;
  longitude: number;
  /** Degrees from north, clockwise. */
  heading: number;
  /** m since delivery. */
  odometer: number;
  /** Battery: %, V, A (discharge positive), °C. */
  stateOfCharge: number;
  voltage: number;
  current: number;
  cellTemperatures: number[];
  /** Motor, Nm and 1/min. */
  torque: number;
  motorSpeed: number;
  /** Degrees Celsius. */
  ambient: number;
  driverDoorOpen: boolean;
  ignition: boolean;
  hazards: boolean;
}

interface Manoeuvre {
  readonly seconds: number;
  /** m/s */
  readonly target: number;
  /** Degrees at the steering wheel while it lasts. */
  readonly steering: number;
}

const MASS_KG = 1850;
const WHEEL_RADIUS_M = 0.33;
const WHEELBASE_M = 2.77;
const STEERING_RATIO = 15.2;
const GEAR_RATIO = 9.1;
const DRAG = 0.36;
const ROLLING_N = 190;
const BATTERY_JOULES = 60 * 3.6e6;
const CELLS = 8;
const EARTH_RADIUS_M = 6_371_008.8;
const G = 9.81;

/** A town: stops, turns, a stretch of fast road; repeated with other numbers from the seed. */
const SCRIPT: readonly Manoeuvre[] = [
  { seconds: 3, target: 0, steering: 0 },
  { seconds: 12, target: 13.9, steering: 0 },
  { seconds: 6, target: 6, steering: 0 },
  { seconds: 7, target: 6, steering: 140 },
  { seconds: 14, target: 16.7, steering: 3 },
  { seconds: 8, target: 0, steering: 0 },
  { seconds: 4, target: 0, steering: 0 },
  { seconds: 10, target: 8, steering: -110 },
  { seconds: 25, target: 27.8, steering: -2 },
  { seconds: 6, target: 9, steering: 0 },
  { seconds: 5, target: 0, steering: 25 },
];

/** One simulated drive; `advance` moves it on and returns its own state object, filled anew. */
export class Drive {
  readonly state: DriveState;
  readonly #random: () => number;
  readonly #manoeuvres: Manoeuvre[] = [];
  #left = 0;
  #target = 0;
  #wheel = 0;
  #roughness = 0;

  constructor(seed: number) {
    this.#random = seeded(seed);
    this.state = {
      time: 0,
      speed: 0,
      accelLong: 0,
      accelLat: 0,
      yawRate: 0,
      steering: 0,
      throttle: 0,
      brake: 0,
      latitude: 48.1371 + (this.#random() - 0.5) * 0.02,
      longitude: 11.5754 + (this.#random() - 0.5) * 0.02,
      heading: this.#random() * 360,
      odometer: 18_000_000 + this.#random() * 4e7,
      stateOfCharge: 55 + this.#random() * 35,
      voltage: 396,
      current: 0,
      cellTemperatures: Array.from({ length: CELLS }, () => 21 + this.#random() * 2),
      torque: 0,
      motorSpeed: 0,
      ambient: 14 + this.#random() * 8,
      driverDoorOpen: false,
      ignition: true,
      hazards: false,
    };
  }

  /** @param seconds step, at most 0.1 for the model to hold */
  advance(seconds: number): DriveState {
    const state = this.state;
    state.time += seconds;
    this.#left -= seconds;
    if (this.#left <= 0) this.#nextManoeuvre();
    this.#steer(seconds);
    this.#accelerate(seconds);
    this.#move(seconds);
    this.#drain(seconds);
    return state;
  }

  #nextManoeuvre(): void {
    if (this.#manoeuvres.length === 0) this.#manoeuvres.push(...SCRIPT);
    const { seconds, target, steering } = this.#manoeuvres.shift()!;
    this.#left = seconds * (0.8 + 0.5 * this.#random());
    this.#target = target * (0.85 + 0.3 * this.#random());
    this.#wheel = steering * (0.8 + 0.4 * this.#random());
  }

  /** The driver's hands follow the road and never hold still. */
  #steer(seconds: number): void {
    const state = this.state;
    this.#roughness += (this.#random() - 0.5) * 0.8 - this.#roughness * 0.05;
    const wanted = this.#wheel + (state.speed > 0.5 ? this.#roughness : 0);
    const step = Math.max(-220 * seconds, Math.min(220 * seconds, wanted - state.steering));
    state.steering += step;
    const angle = (state.steering / STEERING_RATIO) * (Math.PI / 180);
    state.yawRate = (state.speed * Math.tan(angle)) / WHEELBASE_M;
    state.accelLat = state.speed * state.yawRate;
    // Nobody takes a turn at more than a third of g: the model slows instead of sliding.
    if (Math.abs(state.accelLat) > 0.33 * G) this.#target = Math.min(this.#target, state.speed * 0.8);
  }

  #accelerate(seconds: number): void {
    const state = this.state;
    const error = this.#target - state.speed;
    const wanted = Math.max(-4.5, Math.min(2.8, error * 0.9)) + (state.speed > 1 ? (this.#random() - 0.5) * 0.12 : 0);
    const before = state.speed;
    state.speed = Math.max(0, state.speed + Math.max(-6 * seconds, Math.min(6 * seconds, wanted * seconds)));
    state.accelLong = (state.speed - before) / seconds;
    const force = MASS_KG * state.accelLong + (state.speed > 0 ? ROLLING_N + DRAG * state.speed ** 2 : 0);
    state.torque = (force * WHEEL_RADIUS_M) / GEAR_RATIO;
    state.motorSpeed = (state.speed / WHEEL_RADIUS_M) * GEAR_RATIO * (60 / (2 * Math.PI));
    state.throttle = Math.max(0, Math.min(100, state.torque / 3));
    state.brake = state.accelLong < -1.2 ? Math.min(100, (-state.accelLong - 1.2) * 28) : 0;
  }

  #move(seconds: number): void {
    const state = this.state;
    const metres = state.speed * seconds;
    state.odometer += metres;
    state.heading = (state.heading - state.yawRate * (180 / Math.PI) * seconds + 360) % 360;
    const course = state.heading * (Math.PI / 180);
    const degrees = (metres / EARTH_RADIUS_M) * (180 / Math.PI);
    state.latitude += degrees * Math.cos(course);
    state.longitude += (degrees * Math.sin(course)) / Math.cos(state.latitude * (Math.PI / 180));
  }

  /** Regeneration gives back 60 % of what braking takes. */
  #drain(seconds: number): void {
    const state = this.state;
    const mechanical = (state.torque * state.motorSpeed * 2 * Math.PI) / 60;
    const power = 350 + (mechanical > 0 ? mechanical / 0.9 : mechanical * 0.6);
    state.stateOfCharge = Math.max(0, state.stateOfCharge - (power * seconds * 100) / BATTERY_JOULES);
    state.voltage = 330 + state.stateOfCharge * 0.75 - power * 1e-4;
    state.current = power / state.voltage;
    for (let i = 0; i < state.cellTemperatures.length; i++) {
      const heat = state.current ** 2 * 2e-7 * (1 + i * 0.03);
      state.cellTemperatures[i]! += (heat - (state.cellTemperatures[i]! - state.ambient) * 2e-4) * seconds;
    }
  }
}
