import type { Grant } from '#exchange/party-register.ts'
import { HubError } from '#kernel/errors.ts'
import type { Cap, CapScope } from '#store/cap-counters.ts'
import { secondsToShanghaiMidnight } from './minimise.ts'

/** The caps of a grant that a query counts against, each with the name that it counts. */
export const capsOf = (grant: Grant, names: Readonly<Record<keyof Grant['caps'], string>>): Cap[] =>
  (['party', 'operator', 'subject'] as const).flatMap((scope) => {
    const cap = grant.caps[scope]
    return cap === undefined ? [] : [{ scope, under: grant.id, name: names[scope], cap, counts: true }]
  })

/**
 * How often a case, or a session, may miss under a contract that limits guesses: whatever the grant, and once its
 * misses are used up a right one is not answered either.
 */
export const guessesOf = (
  { ref, answers }: { readonly ref: string; readonly answers?: { readonly guesses?: { readonly perCase: number } } },
  occasion: string,
  isMiss: boolean,
): Cap[] =>
  answers?.guesses === undefined
    ? []
    : [{ scope: 'guesses', under: ref, name: occasion, cap: answers.guesses.perCase, counts: isMiss }]

interface CapText {
  readonly pointer: string
  readonly zh: string
  readonly en: string
}

const CAP_TEXTS: Readonly<Record<CapScope, CapText>> = {
  party: { pointer: '/sub', zh: '本方今日的查询次数已用完', en: 'your queries of this day are used up' },
  operator: {
    pointer: '/operator',
    zh: '该经办人今日的查询次数已用完',
    en: 'this operator’s queries of this day are used up',
  },
  subject: {
    pointer: '/sub',
    zh: '对该对象今日的查询次数已用完',
    en: 'the queries about this subject of this day are used up',
  },
  guesses: {
    pointer: '/sub',
    zh: '该办件今日的核验失败次数已用完',
    en: 'the failed matches of this case and day are used up',
  },
}

/** Caps are per day: ask again after midnight in Asia/Shanghai. */
export function capReached(scope: CapScope, decidedBy: string, nowMs: number): HubError {
  const { pointer, ...message } = CAP_TEXTS[scope]
  return new HubError(scope === 'guesses' ? 'query.guesses_used' : 'query.cap_reached', {
    violations: [{ pointer, rule: `cap.${scope}`, message }],
    decidedBy,
    retryAfterSeconds: secondsToShanghaiMidnight(nowMs),
  })
}
