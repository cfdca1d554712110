import {
  CAN_EFF_FLAG,
  CAN_EFF_MASK,
  CAN_ERR_FLAG,
  CAN_RTR_FLAG,
  CAN_SFF_MASK,
  CANFD_BRS,
  CANFD_ESI,
  CANFD_FDF,
} from '#contracts';
import type { FrameSink } from './sink.ts';

/** LINKTYPE_CAN_SOCKETCAN of the tcpdump group's list. */
export const LINKTYPE_CAN_SOCKETCAN = 227;
/** No packet of a CAN frame is larger; captures of other links in the same file are passed over. */
export const MOST_PACKET_BYTES = 256 * 1024;

const HEAD_BYTES = 8;
const FD_PACKET_BYTES = 72;
/** Bit of the length byte's neighbour that marks CAN XL. */
const XL_FLAG = 0x80;

/**
 * One packet of LINKTYPE_CAN_SOCKETCAN: id word big-endian, length, FD flags, two reserved bytes, payload. Old captures
 * lack the FDF flag: there an FD frame is told by its size (`CANFD_MTU`, 72 bytes).
 *
 * @returns what was expected where the packet is malformed, else null
 */
export function socketCanFrame(
  sink: FrameSink,
  bytes: Uint8Array,
  start: number,
  captured: number,
  seconds: number,
  ns: number,
  channel: number,
): string | null {
  if (captured < HEAD_BYTES) return 'a packet has a header of 8 bytes';
  if ((bytes[start + 4]! & XL_FLAG) !== 0) return 'a packet is CAN or CAN FD, not CAN XL';
  const word = (bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!;
  const length = bytes[start + 4]!;
  const isError = (word & CAN_ERR_FLAG) !== 0;
  const isFd = (bytes[start + 5]! & CANFD_FDF) !== 0 || captured === FD_PACKET_BYTES || length > 8;
  if (length > 64) return 'a frame has at most 64 bytes';
  const isRemote = (word & CAN_RTR_FLAG) !== 0 && !isError;
  if (isRemote && length > 8) return 'a remote frame asks for at most 8 bytes';
  if (!isRemote && captured < HEAD_BYTES + length) return 'a packet holds the payload of its frame';
  const mask = isError || (word & CAN_EFF_FLAG) !== 0 ? CAN_EFF_MASK : CAN_SFF_MASK;
  const kind = isError ? CAN_ERR_FLAG : word & (CAN_EFF_FLAG | CAN_RTR_FLAG);
  const flags = isFd ? CANFD_FDF | (bytes[start + 5]! & (CANFD_BRS | CANFD_ESI)) : 0;
  sink.frame(seconds, ns, (word & mask) | kind, length, flags, channel, bytes, start + HEAD_BYTES, length);
  return null;
}
