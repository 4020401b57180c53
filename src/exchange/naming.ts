import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { type NamedFile, recordNamings, removeNamings, type Uploaded } from '#store/file-naming-queries.ts'
import type { CommitBatch, CommitOutcome, ExchangeRow } from '#store/log-commit.ts'
import { fault } from './named-files.ts'

/**
 * Before a batch is committed, the files that its rows name must have been uploaded. It happens in the committer's own
 * lane: there rows of one key keep their order however long it takes, and a batch without files does not notice.
 *
 * A naming is recorded before its exchange: the other way round an exchange could stand without its file. One whose
 * exchange never came (a crash in between) gives a right to nobody, and holds its file until the copy expires.
 */
export function withNamings(db: Db, commit: CommitBatch): CommitBatch {
  return async (rows) => {
    const naming = rows.filter((row) => row.files !== undefined && row.files.length > 0)
    if (naming.length === 0) return commit(rows)
    const refused = await judgeNamings(db, naming)
    const kept = rows.filter((row) => !refused.has(row))
    const committed = kept.length === 0 ? [] : await commit(kept)
    const outcomes = new Map(kept.map((row, index) => [row, committed[index] as CommitOutcome]))
    const lost = naming.filter((row) => isLost(row, outcomes.get(row)))
    if (lost.length > 0) {
      await removeNamings(
        db,
        lost.map(({ id }) => id),
      )
    }
    return rows.map((row) => outcomes.get(row) ?? { kind: 'refused', error: refused.get(row) as HubError })
  }
}

/** Another exchange holds its (iss, jti). A batch that is repeated after it was committed sees its own rows. */
const isLost = (row: ExchangeRow, outcome: CommitOutcome | undefined): boolean =>
  outcome?.kind === 'seen' && outcome.exchange !== row.id

/** Records the namings of the rows all of whose files are there; for the others, why not. */
async function judgeNamings(db: Db, rows: readonly ExchangeRow[]): Promise<Map<ExchangeRow, HubError>> {
  const refused = new Map<ExchangeRow, HubError>()
  const namings = rows.flatMap((row) => (row.files ?? []).map((file) => ({ row, file })))
  await recordNamings(
    db,
    namings.map(({ row: { id, iss, obo }, file }) => ({ id, iss, obo, ...file })),
    (uploaded) => {
      for (const row of rows) {
        const own = namings.flatMap((naming, i) =>
          naming.row === row ? [{ file: naming.file, uploaded: uploaded[i] }] : [],
        )
        const error = refusalOf(own)
        if (error !== undefined) refused.set(row, error)
      }
      return namings.map(({ row }) => !refused.has(row))
    },
  )
  return refused
}

function refusalOf(own: readonly { readonly file: NamedFile; readonly uploaded: Uploaded }[]): HubError | undefined {
  const missing = own.flatMap(({ file, uploaded }) =>
    uploaded === undefined
      ? [
          fault(
            `${file.pointer}/digest`,
            'uploaded',
            '发送方没有完整上传该文件',
            'the sender has not uploaded it whole',
          ),
        ]
      : [],
  )
  if (missing.length > 0) return new HubError('file.missing', { violations: missing })
  const other = own.flatMap(({ file, uploaded }) => [
    ...(uploaded?.bytes === file.bytes
      ? []
      : [fault(`${file.pointer}/bytes`, 'uploaded', '与上传的字节数不符', 'not the size of what was uploaded')]),
    ...(uploaded?.mediaType === file.mediaType
      ? []
      : [
          fault(`${file.pointer}/mediaType`, 'uploaded', '与上传的类型不符', 'not the media type of what was uploaded'),
        ]),
  ])
  return other.length > 0 ? new HubError('file.mismatch', { violations: other }) : undefined
}
