// One crosshair over all charts of a group: where the mouse is in one, a line in each of the others, and the values of
// all that are on the screen in one strip at the bottom. Appended to live_chart.js by live_chart.py.

const HIDE_MS = 200 // between two charts the mouse is in none

class Cursor {
  constructor(group) {
    this.group = group
  }

  at(x, chart) {
    clearTimeout(this.hiding)
    this.x = x
    this.under = chart
    this.draw()
  }

  leave() {
    clearTimeout(this.hiding)
    this.hiding = setTimeout(() => this.hide(), HIDE_MS)
  }

  hide() {
    clearTimeout(this.hiding)
    this.x = undefined
    this.group.members.forEach((chart) => this.placeLine(chart))
    this.strip?.remove()
    this.strip = undefined
  }

  draw() {
    if (this.x === undefined) return
    const charts = [...this.group.members].filter((chart) => chart.drawn && !chart.gone && chart.member.near)
    charts.forEach((chart) => this.placeLine(chart))
    if (charts.length > 1) this.write(charts)
  }

  placeLine(chart) {
    const axis = chart.node._fullLayout?.xaxis
    const size = chart.node._fullLayout?._size
    let line = chart.overlay.querySelector(".v3-cursor")
    const place = axis && this.x !== undefined && chart !== this.under ? axis._offset + axis.l2p(this.x) : NaN
    if (!(place >= axis?._offset && place <= axis?._offset + axis?._length)) return line?.remove()
    if (!line) {
      line = document.createElement("div")
      line.className = "v3-cursor"
      chart.overlay.appendChild(line)
    }
    Object.assign(line.style, { left: `${place}px`, top: `${size.t}px`, height: `${size.h}px` })
  }

  write(charts) {
    if (!this.strip) {
      this.strip = document.createElement("div")
      this.strip.className = "v3-strip"
      this.strip.setAttribute("aria-hidden", "true") // the charts have descriptions of their own
      document.body.appendChild(this.strip)
    }
    const { xaxis } = this.under.figure.layout
    const colours = theme(this.under.root)
    Object.assign(this.strip.style, { background: colours.background, color: colours.text, borderColor: colours.border })
    const main = this.under.root.closest('[data-testid="stMain"]')?.getBoundingClientRect()
    Object.assign(this.strip.style, { fontFamily: colours.font, left: `${main?.left ?? 0}px` })
    const head = document.createElement("b")
    const name = unescaped(xaxis.title.text)
    head.textContent = `${name}${name.includes(" ") ? ":" : ""} ${readable(this.x)}`
    this.strip.replaceChildren(head)
    const inOrder = charts.sort((one, other) => one.root.compareDocumentPosition(other.root) & 4 ? -1 : 1)
    for (const trace of inOrder.flatMap((chart) => chart.figure.data)) {
      const value = valueAt(trace, this.x)
      if (value === undefined) continue
      const item = document.createElement("span")
      const colour = document.createElement("i")
      colour.style.background = trace.line?.color ?? trace.marker?.color ?? colours.text
      item.append(colour, `${unescaped(trace.name)} ${value}`)
      this.strip.appendChild(item)
    }
  }
}

function readable(value) {
  const rounded = Number(value.toPrecision(value >= 1e4 ? 12 : 4))
  return rounded.toLocaleString("en-US", { maximumSignificantDigits: 12 }).replace("-", "−")
}

// The value of the point whose bucket holds x, in words; undefined if the trace has none there.
function valueAt(trace, x) {
  if (trace.type !== "scatter" || trace.hoverinfo === "skip" || !trace.x?.length || trace.mode === "markers" && trace.error_y) {
    return undefined
  }
  let from = 0
  let to = trace.x.length - 1
  while (from < to) {
    const middle = (from + to) >> 1
    if (trace.x[middle] < x) from = middle + 1
    else to = middle
  }
  const value = trace.x[from] < x ? undefined : trace.y[from]
  if (value === undefined || value === null || Number.isNaN(value)) return undefined
  return /%\{y:\.\d%\}/.test(trace.hovertemplate ?? "") ? `${(100 * value).toFixed(1)}%` : readable(value)
}

const decoder = document.createElement("textarea")
function unescaped(text) {
  decoder.innerHTML = text
  return decoder.value
}
