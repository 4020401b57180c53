import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { GatewayDeps } from '../deps.ts'

const bilingual = z.object({ zh: z.string(), en: z.string() })
const task = z
  .object({
    no: z.number().int(),
    section: z.string(),
    text: z.string(),
    deadline: z.string().optional(),
    due: z.array(z.string()).optional(),
    responsible: z.array(z.string()),
    assisting: z.array(z.string()).optional(),
    remark: z.string().optional(),
    defects: z.array(bilingual).optional(),
    answers: z
      .object({
        contracts: z.array(z.string()).optional(),
        standards: z.array(z.string()).optional(),
        figures: z.array(z.string()).optional(),
      })
      .optional(),
    notMeasured: bilingual.optional(),
  })
  .openapi('LedgerTask')

const route = createRoute({
  method: 'get',
  path: '/v1/ledger-tasks',
  operationId: 'listLedgerTasks',
  summary: '任务台账 / The 26 tasks of the ledger and what answers each here',
  responses: {
    200: {
      description: 'Tasks',
      content: { 'application/json': { schema: z.object({ tasks: z.array(task) }) } },
    },
  },
})

export function listLedgerTasks(app: OpenAPIHono, deps: Pick<GatewayDeps, 'ledgerTasks'>): void {
  app.openapi(
    route,
    (c) => c.json({ tasks: deps.ledgerTasks }, 200, { 'cache-control': 'public, max-age=300' }) as never,
  )
}
