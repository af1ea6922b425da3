// The inverse of v3core/charts/folding.py. Appended to live_chart.js by live_chart.py.

const made = new WeakMap() // table -> what is made of it, by name: arrays stay the same while their table does

function kept(table, name, make) {
  if (!made.has(table)) made.set(table, new Map())
  const of = made.get(table)
  if (!of.has(name)) of.set(name, make())
  return of.get(name)
}

function columnOf(tables, [number, column]) {
  const table = tables[number]
  if (column === undefined) return table
  return kept(table, column, () => Float64Array.from(table, (row) => row[column]))
}

function unfoldedPart(value, tables) {
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) return value // of texts, or the rows of a heatmap
  if ("column" in value) return columnOf(tables, value.column)
  if ("columns" in value) {
    const columns = value.columns.map((place) => columnOf(tables, place))
    // All of one length, and so of one table, if they are written alike.
    return kept(tables[value.columns[0][0]], value.columns.join(), () =>
      Array.from(columns[0], (_, row) => columns.map((column) => column[row])),
    )
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, unfoldedPart(one, tables)]))
}

// A closed outline around each stretch without gaps, as `outline` of v3core/charts/traces.py.
function outlined(x, extremes) {
  const found = { x: [], y: [] }
  for (let start = 0; start < x.length; start += 1) {
    if (Number.isNaN(extremes[start][0])) continue
    let stop = start
    while (stop < x.length && !Number.isNaN(extremes[stop][0])) stop += 1
    if (found.x.length) (found.x.push(NaN), found.y.push(NaN))
    for (let at = start; at < stop; at += 1) (found.x.push(x[at]), found.y.push(extremes[at][1]))
    for (let at = stop - 1; at >= start; at -= 1) (found.x.push(x[at]), found.y.push(extremes[at][0]))
    start = stop
  }
  return { x: Float64Array.from(found.x), y: Float64Array.from(found.y) }
}

function unfolded({ tables, ...figure }) {
  if (!tables) return figure
  const data = figure.data.map((trace) =>
    Object.fromEntries(
      Object.entries(trace).map(([key, value]) => [key, value?.part ? value : unfoldedPart(value, tables)]),
    ),
  )
  for (const trace of data) {
    if (!trace.x?.part) continue
    const { x, customdata } = data[trace.x.outline]
    Object.assign(trace, kept(x, customdata, () => outlined(x, customdata)))
  }
  return { ...figure, data }
}
