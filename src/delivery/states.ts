/**
 * The hub's delivery states and what may follow each. A host's own states (landed, delivering, retrying, parked)
 * live in its inbox and are reported when known, never required.
 */
export const DELIVERY_STATES = {
  unrouted: { zh: '待关联', en: 'waiting for its case', next: ['accepted', 'expired'] },
  accepted: { zh: '已受理', en: 'accepted, not yet published', next: ['published', 'acknowledged', 'dead', 'expired'] },
  published: {
    zh: '已发布',
    en: 'published to the recipient',
    next: ['accepted', 'delivering', 'acknowledged', 'dead', 'expired'],
  },
  delivering: { zh: '领取中', en: 'leased by the recipient', next: ['delivering', 'acknowledged', 'dead', 'expired'] },
  acknowledged: { zh: '已签收', en: 'acknowledged', next: [] },
  dead: { zh: '被拒收', en: 'rejected by the recipient', next: ['acknowledged'] },
  expired: { zh: '已超期', en: 'not acknowledged in time', next: ['acknowledged', 'dead'] },
} as const

export type DeliveryState = keyof typeof DELIVERY_STATES

const NAMES = Object.keys(DELIVERY_STATES) as DeliveryState[]

/** The states from which a delivery may come into this one: what every UPDATE of a state is guarded by. */
export const statesBefore = (state: DeliveryState): DeliveryState[] =>
  NAMES.filter((name) => (DELIVERY_STATES[name].next as readonly string[]).includes(state))
