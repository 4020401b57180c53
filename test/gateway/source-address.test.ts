import { expect, test } from 'vitest'
import { createSourceAddress } from '#gateway/http/source-address.ts'

const behindProxies = createSourceAddress(['10.0.0.0/8', 'fd00::/8'])

test.each([
  ['a stranger’s word is not believed', '203.0.113.7', '198.51.100.1', '203.0.113.7'],
  ['a balancer’s word is', '10.0.0.1', '198.51.100.1', '198.51.100.1'],
  ['what the client itself wrote before it is not', '10.0.0.1', '1.2.3.4, 198.51.100.1', '198.51.100.1'],
  ['through two balancers', '10.0.0.1', '198.51.100.1, 10.9.9.9', '198.51.100.1'],
  ['through an IPv6 socket', '::ffff:10.0.0.1', '198.51.100.1', '198.51.100.1'],
  ['an IPv6 balancer', 'fd00::1', '2001:db8::5', '2001:db8::5'],
  ['a balancer that says nothing', '10.0.0.1', undefined, '10.0.0.1'],
  ['a balancer that says nonsense', '10.0.0.1', 'unknown', '10.0.0.1'],
])('%s', (_name, remote, forwardedFor, expected) => {
  expect(behindProxies(remote, forwardedFor)).toBe(expected)
})

test('without trusted proxies the socket’s address is the only one', () => {
  expect(createSourceAddress([])('::ffff:127.0.0.1', '198.51.100.1')).toBe('127.0.0.1')
})
