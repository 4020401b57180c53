import { expect, test } from 'vitest'
import { murmur2, partitionOf } from '#bus/murmur2.ts'

/** Computed by org.apache.kafka.common.utils.Utils of kafka-clients 4.1.1: hash, then partition of 12 and of 7. */
const JAVA: readonly (readonly [string, number, number, number])[] = [
  ['', 275646681, 9, 2],
  ['2', 648968168, 8, 2],
  ['21', -973932308, 0, 3],
  ['213', 1670622674, 2, 0],
  ['2134', -410885028, 8, 1],
  ['foobar', -790332482, 6, 0],
  ['a-little-bit-long-string', -985981536, 8, 1],
  ['a-little-bit-longer-string', -1486304829, 11, 0],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971, 5, 3],
  ['电桥', 758380774, 10, 4],
  ['内蒙古150402', -416996980, 4, 1],
]

test.each(JAVA)('"%s" hashes and falls into partitions as in Java', (key, hash, of12, of7) => {
  expect(murmur2(Buffer.from(key))).toBe(hash)
  expect([partitionOf(key, 12), partitionOf(key, 7)]).toEqual([of12, of7])
})

test('bytes above 127 count as Java counts them, wherever they stand in their buffer', () => {
  const bytes = Buffer.from([1, 2, 3, 0xff, 0, 0x80, 0x7f, 0xfe]).subarray(3)
  expect(murmur2(bytes)).toBe(1118688894)
})
