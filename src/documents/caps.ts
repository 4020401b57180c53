import type { Grant } from '#exchange/party-register.ts'
import { HubError } from '#kernel/errors.ts'
import type { AccessRow, CapScope } from '#store/document-queries.ts'
import { secondsToShanghaiMidnight } from './minimise.ts'

/** The caps of a grant that a query counts against, each with the name that it counts. */
export const capsOf = (grant: Grant, names: Readonly<Record<CapScope, string>>): AccessRow['caps'] =>
  (['party', 'operator', 'subject'] as const).flatMap((scope) => {
    const cap = grant.caps[scope]
    return cap === undefined ? [] : [{ scope, name: names[scope], cap }]
  })

const CAP_TEXTS: Readonly<Record<CapScope, { readonly zh: string; readonly en: string }>> = {
  party: { zh: '本方今日的查询次数已用完', en: 'your queries of this day are used up' },
  operator: { zh: '该经办人今日的查询次数已用完', en: 'this operator’s queries of this day are used up' },
  subject: { zh: '对该对象今日的查询次数已用完', en: 'the queries about this subject of this day are used up' },
}

/** Caps are per day: ask again after midnight in Asia/Shanghai. */
export const capReached = (scope: CapScope, nowMs: number): HubError =>
  new HubError('query.cap_reached', {
    violations: [
      { pointer: scope === 'operator' ? '/operator' : '/sub', rule: `cap.${scope}`, message: CAP_TEXTS[scope] },
    ],
    retryAfterSeconds: secondsToShanghaiMidnight(nowMs),
  })
