import type { DriveState } from '../drive.ts';

/** How often each message was sent before, for counters and for the group of the cell temperatures. */
export interface Sending {
  readonly times: number;
  /** The car has moved since it was switched on: until then it stands in Park. */
  readonly hasMoved: boolean;
}

export type Values = Record<string, number>;

const KMH = 3.6;
const DEGREES = 180 / Math.PI;
const STEERING_RATIO = 15.2;
const TRACK_M = 1.58;
const COUNTER = 16;
const CELLS_PER_GROUP = 4;
const GEAR_PARK = 126;
const GEAR_DRIVE = 127;
const IGNITION_OFF = 0;
const IGNITION_ON = 2;
/** The simulated sky is open: the receiver always sees enough satellites for height too. */
const FIX_THREE_D = 2;

/** What each message of `tollgate-vehicle.dbc` says of the car, in physical values. */
export const MESSAGES: Readonly<Record<string, (state: DriveState, sending: Sending) => Values>> = {
  VehicleMotion: (state, { times }) => ({
    Speed: state.speed * KMH,
    LongitudinalAcceleration: state.accelLong,
    LateralAcceleration: state.accelLat,
    Moving: state.speed > 0 ? 1 : 0,
    Counter: times % COUNTER,
  }),
  Steering: (state, { times }) => ({
    WheelAngle: state.steering,
    YawRate: state.yawRate * DEGREES,
    Counter: times % COUNTER,
  }),
  WheelSpeeds: (state) => {
    // The rear axle runs at the speed of the body, the front wheels roll along the angle that they are turned by.
    const front = 1 / Math.cos(state.steering / STEERING_RATIO / DEGREES);
    const outer = (state.yawRate * TRACK_M) / 2;
    const wheel = (speed: number) => Math.max(0, speed) * KMH;
    return {
      FrontLeft: wheel((state.speed - outer) * front),
      FrontRight: wheel((state.speed + outer) * front),
      RearLeft: wheel(state.speed - outer),
      RearRight: wheel(state.speed + outer),
    };
  },
  Pedals: (state, { times }) => ({
    Accelerator: state.throttle,
    Brake: state.brake,
    BrakeLights: state.brake > 0 ? 1 : 0,
    Counter: times % COUNTER,
  }),
  Motor: (state, { times, hasMoved }) => ({
    Torque: state.torque,
    RotationalSpeed: state.motorSpeed,
    SelectedGear: hasMoved ? GEAR_DRIVE : GEAR_PARK,
    Counter: times % COUNTER,
  }),
  BatteryState: (state, { times }) => ({
    StateOfCharge: state.stateOfCharge,
    Voltage: state.voltage,
    Current: state.current,
    AverageTemperature:
      state.cellTemperatures.reduce((sum, celsius) => sum + celsius, 0) / state.cellTemperatures.length,
    Counter: times % COUNTER,
  }),
  BatteryCells: ({ cellTemperatures }, { times }) => {
    const group = times % (cellTemperatures.length / CELLS_PER_GROUP);
    const values: Values = { Group: group };
    for (let cell = group * CELLS_PER_GROUP; cell < (group + 1) * CELLS_PER_GROUP; cell++) {
      values[`Cell${cell + 1}Temperature`] = cellTemperatures[cell]!;
    }
    return values;
  },
  BodyState: (state, { times }) => ({
    Ignition: state.ignition ? IGNITION_ON : IGNITION_OFF,
    DriverDoor: state.driverDoorOpen ? 1 : 0,
    HazardLights: state.hazards ? 1 : 0,
    Counter: times % COUNTER,
  }),
  Environment: (state) => ({ OutsideTemperature: state.ambient }),
  TripCounters: (state) => ({ Odometer: state.odometer, SinceStart: state.time }),
  PositionCourse: (state, { times }) => ({
    Heading: state.heading,
    Fix: FIX_THREE_D,
    Counter: times % COUNTER,
  }),
  PositionFix: (state) => ({ Latitude: state.latitude, Longitude: state.longitude }),
};
