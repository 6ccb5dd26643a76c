// Checks the workflows' definitions, which it reads from standard input by their names, against the Amazon States
// Language.
import validate from 'asl-validator'
import { readFileSync } from 'node:fs'

const definitions = Object.entries(JSON.parse(readFileSync(0, 'utf8')))
for (const [name, definition] of definitions) {
  const { isValid, errorsText } = validate(definition)
  if (!isValid) {
    console.error(`${name}: ${errorsText()}`)
    process.exitCode = 1
  }
}
if (definitions.length === 0) {
  console.error('no definition')
  process.exitCode = 1
}
