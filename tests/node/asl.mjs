// Checks a workflow's definition, which it reads from standard input, against the Amazon States Language.
import validate from 'asl-validator'
import { readFileSync } from 'node:fs'

const { isValid, errorsText } = validate(JSON.parse(readFileSync(0, 'utf8')))
if (!isValid) {
  console.error(errorsText())
  process.exit(1)
}
