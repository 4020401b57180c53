import { HubError } from '#kernel/errors.ts'

/** What a Kafka client throws, read without knowing the client: errors are recognised by name and by protocol type. */
interface ClientError {
  readonly name?: unknown
  readonly type?: unknown
  readonly retriable?: unknown
  readonly cause?: unknown
  readonly message?: unknown
}

/** Error types of the protocol (KIP-69) that say the record itself cannot be stored. */
const REFUSED: ReadonlySet<unknown> = new Set([
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'CORRUPT_MESSAGE',
  'INVALID_TIMESTAMP',
])
const NO_TOPIC: ReadonlySet<unknown> = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION'])
const NO_RIGHT: ReadonlySet<unknown> = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
])
/** A defect of a program, ours or the client's: no wait makes it go away. */
const DEFECTS: ReadonlySet<unknown> = new Set(['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError'])

/** Any error of the client as a HubError of the bus. `where` names a topic or group, never a key or a value. */
export function busError(error: unknown, where: string): HubError {
  if (error instanceof HubError) return error
  const chain = causes(error)
  const has = (set: ReadonlySet<unknown>): boolean => chain.some(({ type }) => set.has(type))
  if (has(REFUSED)) return refused(where, error)
  if (has(NO_TOPIC)) return topicFaulty(where, '主题不存在', 'the topic does not exist', error)
  if (has(NO_RIGHT) || chain.some(({ name }) => name === 'KafkaJSSASLAuthenticationError')) {
    const detail = {
      zh: `${where}：Kafka 拒绝了凭据或权限`,
      en: `${where}: Kafka refused the credentials or the right`,
    }
    return new HubError('bus.not_authorised', { detail, cause: error })
  }
  if (chain.some(({ name }) => name === 'KafkaJSNotImplemented')) {
    return topicFaulty(where, '压缩格式只支持 gzip 或不压缩', 'only gzip or no compression can be read', error)
  }
  if (chain.some(({ name }) => DEFECTS.has(name))) return new HubError('hub.internal', { cause: error })
  return unavailable(where, String(chain.at(-1)?.message ?? error), error)
}

export const unavailable = (where: string, why: string, cause?: unknown): HubError =>
  new HubError('bus.unavailable', { detail: { zh: `${where}：${why}`, en: `${where}: ${why}` }, cause })

export const topicFaulty = (topic: string, zh: string, en: string, cause?: unknown): HubError =>
  new HubError('bus.topic_faulty', { detail: { zh: `${topic}：${zh}`, en: `${topic}: ${en}` }, cause })

export const refused = (where: string, cause?: unknown): HubError =>
  new HubError('bus.record_refused', {
    detail: { zh: `${where}：代理拒绝该记录`, en: `${where}: the broker refuses the record` },
    cause,
  })

/** The broker no longer counts the consumer among the members of its group. */
export const isMemberUnknown = (error: unknown): boolean =>
  causes(error).some(({ type }) => type === 'UNKNOWN_MEMBER_ID')

/** The error and what it says caused it, outermost first; a chain that loops ends. */
function causes(error: unknown): readonly ClientError[] {
  const chain: ClientError[] = []
  let link: unknown = error
  while (typeof link === 'object' && link !== null && chain.length < 8) {
    chain.push(link)
    link = 'cause' in link ? link.cause : undefined
  }
  return chain
}

/** Makes every rejection a HubError of the bus. */
export async function guarded<T>(where: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw busError(error, where)
  }
}

/** Rejects with `bus.unavailable` when the promise has not settled in time; what it does later is nobody's concern. */
export async function within<T>(ms: number, where: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unavailable(where, `no answer within ${ms} ms`)), ms)
  })
  promise.catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
