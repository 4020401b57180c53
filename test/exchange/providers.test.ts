import { describe, expect, test } from 'vitest'
import type { Provider } from '#contracts/contract.ts'
import type { Party } from '#exchange/party-register.ts'
import { isProvider } from '#exchange/providers.ts'

const CHIFENG: Party = {
  id: 'approval-chifeng',
  nameZh: '',
  nameEn: '',
  aliases: [],
  level: 'league',
  roles: ['approval-platform'],
  divisions: ['150400'],
  channel: 'inbox',
  busDoor: false,
  status: 'active',
  limits: { perSecond: undefined, bytesPerSecond: undefined, inFlight: undefined },
}
const HONGSHAN: Party = { ...CHIFENG, id: 'approval-hongshan', level: 'county', divisions: ['150402'] }

describe('who may send under a contract', () => {
  test.each<[Provider, boolean, boolean]>([
    [{ party: 'approval-chifeng' }, true, false],
    [{ role: 'approval-platform' }, true, true],
    [{ role: 'utility' }, false, false],
    [{ role: 'approval-platform', level: 'county' }, false, true],
    [{ role: 'approval-platform', division: '150000' }, true, true],
    [{ role: 'approval-platform', division: '150400' }, true, true],
    [{ role: 'approval-platform', division: '150402' }, false, true],
    [{ role: 'approval-platform', division: '150100' }, false, false],
    [{ role: 'approval-platform', level: 'league', division: '150402' }, false, false],
  ])('%o: the league %s, its district %s', (provider, league, district) => {
    expect([CHIFENG, HONGSHAN].map((party) => isProvider({ providers: [provider] }, party))).toEqual([league, district])
  })

  test('one of several providers is enough', () => {
    const providers = [{ role: 'utility' }, { party: 'approval-hongshan' }]
    expect(isProvider({ providers }, HONGSHAN)).toBe(true)
  })
})
