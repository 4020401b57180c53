import { z } from 'zod'
import { RETENTION_CLASSES } from '#kernel/retention.ts'

/** `class=days,…`; `keep` for what is kept until somebody decides. */
export const retention = z
  .string()
  .transform((text) => Object.fromEntries(text.split(',').map((entry) => entry.trim().split('='))) as unknown)
  .pipe(
    z.partialRecord(
      z.enum(RETENTION_CLASSES),
      z.union([z.literal('keep'), z.coerce.number<string>().int().min(0).max(36_525)]),
    ),
  )
