// Applies the patches of v3core/charts/patch.py to a figure. Appended to live_chart.js by live_chart.py.

const FORMS = { f4: Float32Array, f8: Float64Array, i4: Int32Array }

// A value of a patch: arrays become Float64Array, those with columns a list of rows.
function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded)
  if (value === null || typeof value !== "object") return value
  if ("count" in value && "from" in value) {
    return Float64Array.from({ length: value.count }, (_, index) => value.from + index * value.step)
  }
  const form = Object.keys(FORMS).find((name) => typeof value[name] === "string")
  if (form) {
    const bytes = Uint8Array.from(atob(value[form]), (letter) => letter.charCodeAt(0))
    const numbers = Float64Array.from(new FORMS[form](bytes.buffer))
    if (!("of" in value)) return numbers
    return rowsOf(numbers, value, form)
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, decoded(one)]))
}

// Rows of `value.of` columns; those that are the same in all rows are not among the numbers.
function rowsOf(numbers, value, form) {
  const same = value.same ?? []
  const constants = same.length ? decoded({ [form]: value.is }) : []
  const sent = value.of - same.length
  const rows = []
  for (let at = 0; sent && at < numbers.length; at += sent) {
    const row = new Float64Array(value.of)
    let next = at
    for (let column = 0; column < value.of; column++) {
      const place = same.indexOf(column)
      row[column] = place < 0 ? numbers[next++] : constants[place]
    }
    rows.push(row)
  }
  return rows
}

function spliced(before, head, tail, values) {
  const end = before.slice(before.length - tail)
  if (Array.isArray(before)) return [...before.slice(0, head), ...values, ...end]
  const after = new Float64Array(head + values.length + tail)
  after.set(before.subarray(0, head))
  after.set(values, head)
  after.set(end, head + values.length)
  return after
}

function reworded(text, changed) {
  const words = text.split(" ")
  Object.entries(changed).forEach(([index, word]) => (words[index] = word))
  return words.join(" ")
}

// Arrays are replaced, never changed: plotly looks at their identity.
function patched(tree, steps) {
  for (const [kind, path, ...more] of steps) {
    if (path.length === 0) {
      tree = decoded(more[0])
      continue
    }
    const last = path[path.length - 1]
    const at = path.slice(0, -1).reduce((part, key) => part[key], tree)
    if (kind === "set") at[last] = decoded(more[0])
    else if (kind === "delete") delete at[last]
    else if (kind === "words") at[last] = reworded(at[last], more[0])
    else if (kind === "at") patched(at[last], more[0])
    else at[last] = spliced(at[last], more[0], more[1], decoded(more[2]))
  }
  return tree
}

// A message of Python, whose values have names in braces.
function filled(template, values) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole)
}
