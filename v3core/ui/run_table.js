// The table of runs. Streamlit calls the default export again with new data at every tick: only what differs is drawn,
// and what is selected belongs to the browser until the server gives another selection.

const SPARK = { width: 88, height: 24, steps: 100 }
const tables = new WeakMap()

const node = (name, properties = {}, ...children) => {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue
    if (key in made && !key.startsWith("aria")) made[key] = value
    else made.setAttribute(key, value)
  }
  made.append(...children.filter((child) => child !== null))
  return made
}

const drawn = (name, attributes) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}

function sparkline(points, text) {
  const svg = drawn("svg", { viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, role: "img", "aria-label": text })
  svg.append(drawn("title", {}))
  svg.firstChild.textContent = text
  const x = (place) => (points.length > 1 ? (place / (points.length - 1)) * SPARK.width : SPARK.width / 2)
  const y = (value) => SPARK.height - 2 - (value / SPARK.steps) * (SPARK.height - 4)
  let piece = []
  const end = () => {
    if (piece.length > 1) svg.append(drawn("polyline", { points: piece.join(" ") }))
    else if (piece.length) {
      const [cx, cy] = piece[0].split(",")
      svg.append(drawn("circle", { cx, cy, r: 1 }))
    }
    piece = []
  }
  points.forEach((value, place) => {
    if (value === null) end()
    else piece.push(`${x(place).toFixed(1)},${y(value).toFixed(1)}`)
  })
  end()
  return svg
}

function filled(cell) {
  if (cell.badge)
    return [
      node("span", { className: `badge ${cell.colour}`, title: cell.title }, cell.badge),
      ...cell.notes.map((note) => node("span", { className: "note" }, note)),
    ]
  if (cell.spark) return [sparkline(cell.spark, cell.text)]
  if (cell.tags) return [node("span", { className: "tags" }, ...cell.tags.map((tag) => node("span", { className: "tag" }, tag)))]
  if (cell.part !== undefined) {
    const bar = node("i")
    bar.style.width = `${100 * cell.part}%`
    return [node("div", { className: "bar", "aria-hidden": "true" }, bar), node("span", { className: "amount" }, cell.text)]
  }
  const text = node("span", { title: cell.title }, cell.text)
  if (!cell.mark) return [text]
  const mark = node("i", { className: "mark", "aria-hidden": "true" }, cell.mark)
  mark.style.color = cell.colour
  return [mark, text]
}

function reason(beginning, whole) {
  if (beginning === whole) return node("span", { className: "reason" }, whole)
  return node("details", { className: "reason" }, node("summary", {}, beginning), whole)
}

class Table {
  constructor(root) {
    this.root = root
    this.rows = new Map()
    this.selected = new Set()
    this.given = null
    this.last = null
    this.key = (event) => this.pressed(event)
    document.addEventListener("keydown", this.key)
  }

  update(component) {
    const { data } = component
    this.send = component.setStateValue
    this.data = data
    if (this.given !== data.given) {
      this.given = data.given
      this.selected = new Set(data.selected)
    }
    const active = this.root.getRootNode().activeElement
    this.head()
    this.body()
    if (active?.isConnected && this.root.contains(active)) active.focus({ preventScroll: true })
    this.marks()
  }

  head() {
    const { words } = this.data
    const wanted = JSON.stringify([this.data.columns, this.data.sort, words])
    if (this.headed === wanted) return
    const columnsChanged = this.columns !== JSON.stringify([this.data.columns, words])
    this.headed = wanted
    this.columns = JSON.stringify([this.data.columns, words])
    if (columnsChanged) {
      this.root.replaceChildren()
      this.rows.clear()
      this.all = node("input", { type: "checkbox", "aria-label": words.select_all })
      this.all.onchange = () => this.choose(this.data.rows.map((row) => row.id), this.all.checked)
      this.chooser = node("select", { "aria-label": words.sort_by })
      this.chooser.onchange = () => this.sort(this.chooser.value)
      this.heads = this.data.columns.map((column) => this.title(column))
      this.bodyElement = node("tbody", { role: "rowgroup" })
      const first = node("th", { className: "pick", scope: "col", role: "columnheader" }, node("label", {}, this.all))
      this.root.append(
        node("div", { className: "narrow" }, node("span", { "aria-hidden": "true" }, words.sort_by), this.chooser),
        node(
          "table",
          { role: "table", "aria-label": words.runs },
          node("thead", { role: "rowgroup" }, node("tr", { role: "row" }, first, ...this.heads)),
          this.bodyElement,
        ),
      )
    }
    const [by, down] = [this.data.sort.replace(/^-/, ""), this.data.sort.startsWith("-")]
    this.data.columns.forEach((column, place) => {
      if (column.sortable) this.heads[place].ariaSort = column.name === by ? (down ? "descending" : "ascending") : "none"
    })
    this.chooser.replaceChildren(
      node("option", { value: "" }, words.activity),
      ...this.data.columns
        .filter((column) => column.sortable)
        .flatMap((column) => [
          node("option", { value: column.name }, `${column.title} ↑`),
          node("option", { value: `-${column.name}` }, `${column.title} ↓`),
        ]),
    )
    this.chooser.value = this.data.sort
  }

  title(column) {
    const th = node("th", { scope: "col", role: "columnheader", className: column.number ? "number" : "", title: column.meaning })
    if (!column.sortable) {
      th.append(column.title)
      return th
    }
    const button = node("button", { type: "button" }, column.title)
    button.onclick = () => {
      const [up, down] = [column.name, `-${column.name}`]
      const order = column.number ? [down, up, ""] : [up, down, ""]
      this.sort(order[(order.indexOf(this.data.sort) + 1) % order.length])
    }
    th.append(button)
    return th
  }

  sort(by) {
    this.send("sort", { by, at: Date.now() }) // a moment, because "back" may have changed the order meanwhile
  }

  body() {
    const kept = new Set(this.data.rows.map((row) => row.id))
    for (const [id, row] of this.rows) {
      if (kept.has(id)) continue
      row.element.remove()
      this.rows.delete(id)
    }
    let place = this.bodyElement.firstChild
    for (const data of this.data.rows) {
      const row = this.rows.get(data.id) ?? this.row(data.id)
      this.fill(row, data)
      if (row.element === place) place = place.nextSibling
      else this.bodyElement.insertBefore(row.element, place)
    }
  }

  row(id) {
    const box = node("input", { type: "checkbox" })
    box.onclick = (event) => this.clicked(id, box.checked, event.shiftKey)
    const link = node("a", { href: `live?run=${encodeURIComponent(id)}` })
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return // a tab of its own
      event.preventDefault()
      // As "forward" does. `st.switch_page` would leave an entry in the history that has this page with the run's id.
      window.history.pushState({}, "", link.href)
      window.dispatchEvent(new PopStateEvent("popstate", { state: {} }))
    }
    const name = node("td", { className: "c-name", role: "cell" }, link)
    const cells = this.data.columns.slice(1).map((column) =>
      node("td", {
        role: "cell",
        className: `c-${column.name} ${column.number ? "number" : ""}`,
        "data-title": column.title,
      }),
    )
    const pick = node("td", { className: "pick", role: "cell" }, node("label", {}, box))
    const element = node("tr", { role: "row" }, pick, name, ...cells)
    const row = { id, element, box, link, name, cells, said: [] }
    this.rows.set(id, row)
    return row
  }

  fill(row, data) {
    const named = JSON.stringify([data.name, data.about, data.waits, data.whole_reason])
    if (row.named !== named) {
      row.named = named
      row.link.textContent = data.name
      row.box.ariaLabel = this.data.words.select.replace("{run}", () => data.name)
      row.name.replaceChildren(row.link)
      if (data.about) row.name.append(node("span", { className: "about" }, data.about))
      if (data.waits) row.name.append(node("span", { className: "note" }, data.waits))
      if (data.reason) row.name.append(reason(data.reason, data.whole_reason))
    }
    data.cells.forEach((cell, place) => {
      const said = JSON.stringify(cell)
      if (row.said[place] === said) return
      row.said[place] = said
      row.cells[place].replaceChildren(...filled(cell))
    })
  }

  marks() {
    for (const row of this.rows.values()) {
      row.box.checked = this.selected.has(row.id)
      row.element.classList.toggle("selected", row.box.checked)
    }
    const here = this.data.rows.filter((row) => this.selected.has(row.id)).length
    this.all.checked = here > 0 && here === this.data.rows.length
    this.all.indeterminate = here > 0 && !this.all.checked
  }

  clicked(id, checked, withShift) {
    const ids = this.data.rows.map((row) => row.id)
    const [from, to] = [ids.indexOf(this.last), ids.indexOf(id)]
    const range = withShift && from >= 0 ? ids.slice(Math.min(from, to), Math.max(from, to) + 1) : [id]
    this.last = id
    this.choose(range, checked)
  }

  choose(ids, checked) {
    for (const id of ids) checked ? this.selected.add(id) : this.selected.delete(id)
    this.marks()
    this.send("selected", [...this.selected])
  }

  // j, k, x and X, as in the sheet of shortcuts (shortcuts.py).
  pressed(event) {
    const target = event.composedPath()[0]
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
    if (target.closest?.("textarea, select, [contenteditable], dialog, [role=dialog], input:not([type=checkbox])")) return
    if (document.querySelector("dialog[open], [role=dialog]")) return
    const ids = this.data.rows.map((row) => row.id)
    const at = ids.findIndex((id) => this.rows.get(id).element.contains(target))
    const step = { j: 1, k: -1 }[event.key]
    if (step) {
      const next = at < 0 ? (step > 0 ? 0 : ids.length - 1) : Math.min(Math.max(at + step, 0), ids.length - 1)
      this.rows.get(ids[next])?.link.focus()
    } else if (event.key === "x" && at >= 0) this.clicked(ids[at], !this.selected.has(ids[at]), false)
    else if (event.key === "X" && at >= 0) this.clicked(ids[at], true, true)
    else return
    event.preventDefault()
  }

  remove() {
    document.removeEventListener("keydown", this.key)
  }
}

export default function (component) {
  const root = component.parentElement.querySelector(".v3-runs")
  if (!root) return
  if (!tables.has(root)) tables.set(root, new Table(root))
  const table = tables.get(root)
  table.update(component)
  return () => table.remove()
}
