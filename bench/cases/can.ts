import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildStandIn, type Received, transmit } from '../../test/firmware-bridge/stand-in/rig.ts';

/**
 * What a received CAN frame costs: our receiver beside npm's socketcan, both over the stand-in for CAN sockets (UDP on
 * loopback under a preload shim), the same sender. Arguments: frames (300,000), frames a second (100,000).
 */
export const name = 'can';

const FRAMES = 300_000;
const RATE = 100_000;
const ROUNDS = 3;
/** A full 500 kbit/s bus of 8-byte frames, about 4,000 frames/s. */
const BUS_RATE = 4_000;
const GOAL_CPU_US = 1.5;
/** A large plan: whole ids, among them half of the sender's, and groups of J1939 beside one mask that has the other half. */
const PLAN = Array.from({ length: 200 }, (_, i) => (i < 8 ? 0x100 + i : 0x200 + i)).concat(0x7ff);
const GROUPS = Array.from({ length: 60 }, (_, i) => ({ id: 0x80fe0000 + i * 0x100, mask: 0xc3ffff00 }));
const MASKS = [...GROUPS, { id: 0x80ec0000, mask: 0xc3ff0000 }, { id: 0x108, mask: 0xc00007f8 }];
const SOCKETCAN = fileURLToPath(new URL('../../.bench/socketcan/node_modules/socketcan', import.meta.url));

export async function run(args: string[]): Promise<object> {
  const standIn = buildStandIn();
  if (standIn === null) return { skipped: 'no C compiler: apt-get install g++' };
  const frames = Number(args[0] ?? FRAMES);
  const rate = Number(args[1] ?? RATE);
  const drivers: Record<string, string> = { native: 'native' };
  if (existsSync(SOCKETCAN)) drivers.socketcan = SOCKETCAN;
  const rounds: Record<string, Received[]> = { native: [], socketcan: [] };
  const filtered: Received[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    for (const [key, driver] of Object.entries(drivers))
      rounds[key]!.push(await transmit(standIn, { frames, rate }, { driver }));
    // The budget of an id is above what the sender sends of each, so that it is counted and sheds nothing.
    const env = { ID_BUDGET: String(rate) };
    filtered.push(await transmit(standIn, { frames, rate }, { plan: PLAN, masks: MASKS, env }));
  }
  const busy = await transmit(standIn, { frames, rate: rate * 2 }, { busy: 40 });
  const bus = await transmit(standIn, { frames: BUS_RATE * 5, rate: BUS_RATE });
  const native = figures(rounds.native!);
  const socketcan = drivers.socketcan === undefined ? null : figures(rounds.socketcan!);
  return {
    frames,
    rate,
    rounds: ROUNDS,
    native,
    socketcan: socketcan ?? 'not installed: npm install --prefix .bench/socketcan socketcan@4.3.1',
    nativeWithPlan: { ids: PLAN.length, masks: MASKS.length, ...figures(filtered) },
    nativeOverSocketcanCpu: socketcan === null ? null : ratio(native.cpuUsAFrame, socketcan.cpuUsAFrame),
    goal: { cpuUsAFrame: GOAL_CPU_US, reached: native.cpuUsAFrame <= GOAL_CPU_US },
    lossUnderBlockedLoop: {
      sent: busy.sent,
      receivedPlusCountedLoss: busy.received - 1 + busy.queueLost,
      countedLoss: busy.queueLost,
      exact: busy.received - 1 + busy.queueLost === busy.sent,
    },
    atFullBus: {
      rate: BUS_RATE,
      cpuUsAFrame: ratio(bus.cpuUs, bus.sent),
      framesABatch: ratio(bus.frames, bus.batches),
    },
  };
}

function figures(rounds: readonly Received[]) {
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;
  return {
    cpuUsAFrame: median(rounds.map(({ cpuUs, received }) => ratio(cpuUs, received))),
    received: rounds.map(({ received }) => received - 1),
    countedLoss: rounds.map(({ queueLost }) => queueLost),
    framesABatch: median(rounds.map(({ frames, batches }) => ratio(frames, batches))),
  };
}

const ratio = (a: number, b: number) => Math.round((a / b) * 1000) / 1000;
