/** In which of a Redis Cluster's slots a key is ("Redis cluster specification", "Key distribution model" and "Hash tags"). */

export const clusterSlots = 16_384;

/** CRC-16 of the key, or of what stands in its first braces if that is not empty. */
export function clusterSlot(key: string): number {
  const open = key.indexOf("{");
  const close = open < 0 ? -1 : key.indexOf("}", open + 1);
  return crc16(Buffer.from(close > open + 1 ? key.slice(open + 1, close) : key)) % clusterSlots;
}

/** XMODEM: polynomial 1021, begins with 0. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc = ((crc << 8) & 0xffff) ^ (table[(crc >> 8) ^ byte] as number);
  }
  return crc;
}

const table = Uint16Array.from({ length: 256 }, (_, high) => {
  let crc = high << 8;
  for (let bit = 0; bit < 8; bit += 1) {
    crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return crc;
});
