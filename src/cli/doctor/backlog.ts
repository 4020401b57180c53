import { LOG_READERS } from '#compose-metrics.ts'
import type { Db } from '#store/db.ts'
import { type Backlog, readBacklog } from '#store/operations-queries.ts'
import { type Finding, sound, unsound } from './finding.ts'

/** Ages in seconds beyond which something waits for a cause and not for its turn; the alerts use the same. */
const TOO_OLD: Readonly<Record<string, number>> = { unrouted: 3_600, accepted: 60, published: 3_600, delivering: 3_600 }
const READER_TOO_OLD = 60
const ACK_TOO_OLD = 300

/** What waits, failed or is blocked, and for how long. */
export async function backlogFindings(db: Db): Promise<readonly Finding[]> {
  const backlog = await readBacklog(db, LOG_READERS)
  return [
    openFinding(backlog.open),
    failedFinding(backlog.failed),
    readerFinding(backlog.readers),
    hostFinding(backlog),
    ackFinding(backlog.ackOutbox),
    ...backlog.breakers.map(breakerFinding),
  ]
}

const age = (seconds: number): string =>
  seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`

const total = (rows: readonly { readonly count: number }[]): number => rows.reduce((sum, { count }) => sum + count, 0)

function openFinding(open: Backlog['open']): Finding {
  const late = open.filter(({ state, oldestSeconds }) => oldestSeconds > (TOO_OLD[state] ?? Number.POSITIVE_INFINITY))
  if (late.length === 0) return sound('deliveries', `${total(open)} 件在途`, `${total(open)} under way`)
  const list = late
    .map((row) => `${row.contract} → ${row.recipient || '?'} ${row.state} ${row.count} (${age(row.oldestSeconds)})`)
    .join('; ')
  return unsound(
    'deliveries',
    { zh: `滞留的投递：${list}`, en: `deliveries that do not move: ${list}` },
    {
      zh: 'unrouted 见 runbook/DianqiaoUnrouted.md，accepted 见 DianqiaoRelayStalled.md，其余见 DianqiaoUnacknowledged.md',
      en: 'for unrouted see runbook/DianqiaoUnrouted.md, for accepted DianqiaoRelayStalled.md, else DianqiaoUnacknowledged.md',
    },
  )
}

function failedFinding(failed: Backlog['failed']): Finding {
  if (failed.length === 0) return sound('failed deliveries', '24 小时内没有', 'none within 24 hours')
  const list = failed.map((row) => `${row.contract} → ${row.recipient || '?'} ${row.state} ${row.count}`).join('; ')
  return unsound(
    'failed deliveries',
    { zh: `24 小时内：${list}`, en: `within 24 hours: ${list}` },
    { zh: '见 runbook/DianqiaoNonDelivery.md', en: 'see runbook/DianqiaoNonDelivery.md' },
  )
}

function readerFinding(readers: Backlog['readers']): Finding {
  const late = readers.filter(({ seconds }) => seconds > READER_TOO_OLD)
  if (late.length === 0) return sound('log readers', '均已跟上日志', 'all are up with the log')
  const list = late.map((row) => `${row.reader} ${row.positions} (${age(row.seconds)})`).join('; ')
  return unsound(
    'log readers',
    { zh: `落后于日志：${list}`, en: `behind the log: ${list}` },
    {
      zh: '启动 cases 与 relay 角色；仍落后时见 runbook/DianqiaoReaderLag.md',
      en: 'start the roles cases and relay; if that is no help see runbook/DianqiaoReaderLag.md',
    },
  )
}

function hostFinding({ inbox, blockedKeys, deadLetters }: Backlog): Finding {
  if (blockedKeys.length === 0 && deadLetters.length === 0) {
    return sound('connectors', `收件箱 ${total(inbox)} 件`, `${total(inbox)} in the inboxes`)
  }
  const list = [
    ...deadLetters.map((row) => `${row.consumer} ${row.stage} ${row.count}`),
    ...blockedKeys.map((row) => `${row.consumer} blocked keys ${row.count}`),
  ].join('; ')
  return unsound(
    'connectors',
    {
      zh: `等待人工处理的死信与被阻塞的排序键：${list}`,
      en: `dead letters and blocked keys wait for an operator: ${list}`,
    },
    {
      zh: '运行 dianqiao dead ls --connector <id>，修正原因后 replay、skip 或 decide；见 runbook/DianqiaoDeadLetters.md',
      en: 'dianqiao dead ls --connector <id>, mend the cause, then replay, skip or decide; see runbook/DianqiaoDeadLetters.md',
    },
  )
}

function ackFinding(acks: Backlog['ackOutbox']): Finding {
  const late = acks.filter(({ oldestSeconds }) => oldestSeconds > ACK_TOO_OLD)
  if (late.length === 0) return sound('acknowledgements', `${total(acks)} 件待回执`, `${total(acks)} without a receipt`)
  const list = late.map((row) => `${row.consumer} ${row.count} (${age(row.oldestSeconds)})`).join('; ')
  return unsound(
    'acknowledgements',
    { zh: `签收未能送达枢纽：${list}`, en: `acknowledgements do not reach the hub: ${list}` },
    { zh: '见 runbook/DianqiaoAckOutboxStalled.md', en: 'see runbook/DianqiaoAckOutboxStalled.md' },
  )
}

function breakerFinding({ consumer, state, cause }: Backlog['breakers'][number]): Finding {
  const name = `breaker ${consumer}`
  if (state === 'closed') return sound(name, '闭合', 'closed')
  return unsound(
    name,
    { zh: `${state === 'open' ? '断开' : '停用'}：${cause ?? ''}`, en: `${state}: ${cause ?? ''}` },
    {
      zh: `修复对端后运行 dianqiao connector resume ${consumer}；见 runbook/DianqiaoBreakerOpen.md`,
      en: `mend the system, then dianqiao connector resume ${consumer}; see runbook/DianqiaoBreakerOpen.md`,
    },
  )
}
