// Keeps one plotly figure on one DOM node while the page shows it: updates go through Plotly.react, so
// zoom, legend clicks and hover are kept. Colours that a figure does not set come from the page's theme.
// Streamlit calls the default export again whenever the page is drawn, and at every change of theme.

const LEGEND_ROOM = 30 // as in v3core/charts/frame.py
const REPORT_MS = 250
const LEAST_ZOOM = 10 // episodes

const MOST = 2 ** 53 // as in v3core/charts/look.py

const charts = new WeakMap() // Streamlit's container -> chart
const groups = (window.__v3labZoom ??= new Map()) // group -> {members: Set of charts, range: [from, to] or null}

// What the charts of a page keep in its address never adds to the history. Streamlit puts the address back in which it
// asked for a page, when the answer comes: what was replaced meanwhile stays replaced, until somebody goes back or forward.
const replaced = (window.__v3labReplaced ??= new Map()) // parameter -> {before: Set of texts, now}

function readAddress(parameter) {
  const text = new URLSearchParams(window.location.search).get(parameter) ?? ""
  const known = replaced.get(parameter)
  return known?.before.has(text) ? known.now : text
}

function writeAddress(parameter, text) {
  const url = new URL(window.location.href)
  const before = url.searchParams.get(parameter) ?? ""
  if (before === text) return
  const known = replaced.get(parameter) ?? { before: new Set() }
  if (before) known.before.add(before) // an address without one is also that of another page
  known.before.delete(text)
  replaced.set(parameter, { ...known, now: text })
  if (text) url.searchParams.set(parameter, text)
  else url.searchParams.delete(parameter)
  window.history.replaceState(window.history.state, "", url)
}

// The zoom of a page's charts is in its address, so that a copy of it opens the same view.
function zoomOfAddress() {
  const text = readAddress("zoom")
  const [from, to] = /^\d+(\.\d+)?\.\.\d+(\.\d+)?$/.test(text) ? text.split("..").map(Number) : []
  return from < to && to <= MOST ? [from, to] : null
}

function writeZoom({ page, range }) {
  if (page !== window.location.pathname) return // a chart that is alone, or of a page that was left
  writeAddress("zoom", range ? range.map((value) => String(Number(value.toFixed(4)))).join("..") : "")
}

window.__v3labZoomGoesBack ??= window.addEventListener("popstate", () => {
  replaced.clear()
  for (const group of groups.values()) {
    const [chart] = group.members
    if (!chart || group.page !== window.location.pathname) continue
    group.range = zoomOfAddress()
    for (const member of group.members) {
      member.hidden.read()
      enqueue(member)
    }
    chart.askForRange()
  }
}) ?? true

// One chart per frame, so that a tick with six figures does not freeze the page. Not the first of a page: a frame of one
// that has just appeared takes as long as the chart.
const queue = new Set()
let isAnyDrawn = false
function drawLater() {
  if (isAnyDrawn) requestAnimationFrame(drawNext)
  else setTimeout(drawNext)
}
function enqueue(chart) {
  if (queue.size === 0) drawLater()
  queue.add(chart)
}
function drawNext() {
  const [chart] = queue
  queue.delete(chart)
  if (queue.size > 0) drawLater()
  chart?.draw()
}

const canvas = document.createElement("canvas").getContext("2d")
function longestThatFits(texts, width, font) {
  canvas.font = font
  return texts.find((text) => canvas.measureText(text).width <= width) ?? ""
}

// As chart_text of v3core/charts/chart_text.py: plotly reads HTML in it.
function chartText(text) {
  return text.replace(/[&<>%$]/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

class Chart {
  constructor(root) {
    this.node = root.querySelector(".v3-chart-plot")
    this.overlay = root.querySelector(".v3-chart-overlay")
    this.handles = new BoundaryHandles(this, this.overlay)
    this.message = root.querySelector(".v3-chart-message")
    this.caption = root.querySelector(".v3-chart-caption")
    this.root = root.querySelector(".v3-chart")
    this.tools = new ChartTools(this, root.querySelector(".v3-chart-tools"))
    this.hidden = new HiddenEntries(this)
    this.resets = 0
    this.extra = 0 // pixels that a wrapped legend adds to the chart's height
    this.onVisible = () => !document.hidden && this.waiting && enqueue(this)
    document.addEventListener("visibilitychange", this.onVisible)
    this.resizing = new ResizeObserver(() => {
      const width = Math.round(this.root.clientWidth)
      if (width > 0 && width !== this.width) enqueue(this)
    })
    this.resizing.observe(this.root)
    this.member = new FeedMember(this.root, this)
  }

  update(data, setTriggerValue) {
    this.setTriggerValue = setTriggerValue
    this.words = data.words
    this.root.setAttribute("aria-roledescription", this.words.chart)
    const isNew = this.data === undefined
    this.data = data
    if (isNew) this.hidden.read()
    if (!this.figure) this.root.style.height = `${data.height}px`
    this.joinGroup(data)
    if (data.figure !== undefined && this.json !== data.figure) {
      this.json = data.figure
      this.show(JSON.parse(data.figure))
    }
    this.member.update(data)
    this.tools.update(data)
    loadPlotly(data.plotly, data.words).then(
      (Plotly) => {
        this.plotly = Plotly
        this.failure = undefined
        if (this.figure) this.say("")
        enqueue(this)
      },
      (error) => {
        this.failure = filled(this.words.failed_reload, { reason: error.message })
        this.say(this.failure)
      },
    )
  }

  say(text) {
    this.message.textContent = text
  }

  // The figure changes by the steps of a patch.
  show(steps) {
    this.sent = patched(this.sent, steps)
    this.figure = unfolded(this.sent)
    // Hidden traces stay hidden when a trace is added before them: plotly matches by uid, otherwise by index.
    const seen = {}
    for (const trace of this.figure.data) {
      const name = trace.meta ?? trace.name // in English, whatever the language of the page is
      seen[name] = (seen[name] ?? 0) + 1
      // It becomes a class name in a selector of plotly: letters and digits only.
      trace.uid = `${name} ${seen[name]}`.replace(/[^A-Za-z0-9]/g, "_")
    }
    this.root.setAttribute("aria-label", this.figure.layout.meta?.alt ?? this.words.chart)
    this.tools.announce(this.figure.layout.meta?.alt)
    this.say(this.failure ?? "")
    enqueue(this)
  }

  // What the feed is to read in smaller buckets.
  visible() {
    const range = groups.get(this.group).range
    return range ? [...range, Math.round(this.root.clientWidth)] : null
  }

  appears() {
    enqueue(this)
  }

  fails(sentence) {
    if (!this.drawn) this.say(filled(this.words.failed, { reason: sentence }))
  }

  // What is drawn, and how old the newest of it is.
  tell() {
    if (!this.figure || this.gone) return
    const { caption, newest_at } = this.figure.layout.meta ?? {}
    const aged = () => age(Date.now() / 1000 - newest_at, this.data.language)
    const text = caption && newest_at !== undefined ? filled(this.words.aged, { caption, age: aged() }) : (caption ?? "")
    if (this.caption.textContent !== text) this.caption.textContent = text
  }

  joinGroup({ group: name, addressed }) {
    if (this.group === name) return
    const isNew = this.group === undefined
    this.leaveGroup()
    this.group = name
    if (!groups.has(name)) {
      const group = { members: new Set(), range: null }
      group.cursor = new Cursor(group)
      groups.set(name, group)
    }
    const group = groups.get(name)
    if (addressed) {
      // A chart that changes to another axis has the address of the one before.
      if (isNew && group.members.size === 0) group.range = zoomOfAddress() ?? group.range
      group.page = window.location.pathname
      writeZoom(group)
    }
    group.members.add(this)
  }

  // A group keeps its zoom: another page may be looked at meanwhile.
  leaveGroup() {
    const group = groups.get(this.group)
    if (group?.cursor.under === this) group.cursor.hide()
    group?.members.delete(this)
  }

  draw() {
    if (!this.plotly || this.gone || !this.figure) return
    this.tell()
    const empty = this.figure.layout.meta?.empty
    if (empty) {
      if (this.drawn) this.plotly.purge(this.node)
      this.drawn = false
      this.tools.place()
      this.root.style.height = "48px"
      return this.say(empty)
    }
    this.width = Math.round(this.root.clientWidth)
    // Nobody sees it, or it is being dragged: draw the latest figure later.
    this.waiting = document.hidden || !this.member.near || this.width === 0 || this.handles.moving || this.node._dragging
    if (this.waiting) {
      if (this.node._dragging) setTimeout(() => enqueue(this), 100)
      return
    }
    const data = this.hidden.shown(this.figure.data)
    this.expectLegend(data)
    this.plotly.react(this.node, data, this.layout(), PLOTLY_CONFIG).then(() => {
      if (this.gone) return
      if (!this.drawn) this.listen()
      this.drawn = isAnyDrawn = true
      if (this.legendGrew()) return enqueue(this)
      this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1)
      this.handles.place()
      this.tools.place()
      groups.get(this.group).cursor.draw()
    })
  }

  // Only of entries or a width that are new: what was drawn is known better.
  expectLegend(data) {
    const { showlegend, legend, margin } = this.figure.layout
    const entries = data.filter((trace) => trace.showlegend !== false && trace.visible !== false)
    const shown = JSON.stringify([this.width, entries.map((trace) => trace.name)])
    if (shown === this.expected || !showlegend || legend?.orientation !== "h") return
    this.expected = shown
    if (entries.length === 0) return
    const names = entries.map((trace) => trace.name)
    const height = legendHeight(names, this.width - margin.l - margin.r, theme(this.root).font)
    this.extra = Math.max(0, height - LEGEND_ROOM)
  }

  // A legend that wraps on a narrow page gets the space it needs; the plot keeps its height.
  legendGrew() {
    const { showlegend, legend } = this.node._fullLayout
    const extra = showlegend ? Math.max(0, Math.ceil(legend?._height ?? 0) - LEGEND_ROOM) : 0
    const grew = extra !== this.extra
    this.extra = extra
    return grew
  }

  // The figure's layout with size, theme, zoom and names that fit.
  layout() {
    const layout = structuredClone(this.figure.layout)
    const colours = theme(this.root)
    this.root.style.setProperty("--v3-accent", colours.accent)
    const height = layout.height + this.extra
    this.root.style.height = `${height}px`
    layout.margin.t += this.extra
    dress(layout, colours, this.width, height)
    // A finger scrolls the page; only a mouse draws a zoom box.
    layout.dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom"
    this.hidden.revision(layout)
    for (const axis of axesOf(layout)) axis.uirevision = `${layout.uirevision}:${this.resets}`
    // Under the mouse: one pixel, and none of the halo that plotly draws around it.
    Object.assign((layout.xaxis ??= {}), { spikecolor: colours.text, spikethickness: -2 })
    if (layout.meta?.own_zoom) return layout // which plotly keeps, as that of all other axes
    const zoom = groups.get(this.group).range
    if (zoom) layout.xaxis.range = [...zoom]
    // Ticks at parts of an episode would show the same number several times.
    const counts = layout.xaxis.tickformat === ",d"
    if (counts && layout.xaxis.range[1] - layout.xaxis.range[0] <= 2 * LEAST_ZOOM) layout.xaxis.dtick = 1
    layout.xaxis.uirevision = Math.random() // its zoom is the group's, set above
    this.fitNames(layout, colours)
    return layout
  }

  // Names of phases: in full at the visible start of their band, or a shorter form if there is no space.
  fitNames(layout, colours) {
    const bands = layout.meta?.bands ?? []
    if (!bands.length) return
    const [from, to] = layout.xaxis.range
    const margin = layout.margin
    const scale = (this.width - margin.l - margin.r) / (to - from)
    for (const annotation of layout.annotations ?? []) {
      const match = /^band:(\d+)$/.exec(annotation.name ?? "")
      if (!match) continue
      const band = bands[Number(match[1])]
      const start = Math.max(band.start, from)
      const end = Math.min(band.end, to)
      annotation.x = Math.min(start, to)
      const font = `${annotation.font.size}px ${colours.font}`
      annotation.text = end > start ? chartText(longestThatFits(band.texts, (end - start) * scale - 8, font)) : ""
      annotation.visible = annotation.text !== ""
    }
  }

  listen() {
    this.node.on("plotly_relayout", (change) => {
      if (this.figure.layout.meta?.own_zoom) return
      const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]]
      if (range[0] === undefined) return
      this.zoom(range.map(Number))
    })
    this.node.on("plotly_restyle", () => this.hidden.write())
    this.node.on("plotly_doubleclick", () => this.reset())
    this.node.on("plotly_click", ({ points: [point] }) => {
      if (this.data.points && point?.customdata) this.setTriggerValue("point", Array.from(point.customdata))
    })
    this.node.on("plotly_hover", ({ points }) => {
      const x = points.find((point) => typeof point.x === "number")?.x
      if (x !== undefined) groups.get(this.group).cursor.at(x, this)
    })
    this.node.on("plotly_unhover", () => groups.get(this.group).cursor.leave())
    this.node.on("plotly_relayouting", () => this.handles.place())
  }

  zoom([from, to]) {
    const group = groups.get(this.group)
    // Limits the zoom, so that there is always more than one episode to see.
    const least = this.figure.layout.xaxis.tickformat === ",d" ? LEAST_ZOOM : 0 // time has no smallest part
    const missing = Math.max(0, least - (to - from))
    const start = Math.max(0, from - missing / 2)
    const range = [start, Math.max(to, start + least)]
    group.range = range
    writeZoom(group)
    group.members.forEach(enqueue)
    this.askForRange()
  }

  // The feed reads the visible range in finer buckets, once zooming has stopped.
  askForRange() {
    const group = groups.get(this.group)
    clearTimeout(group.asking)
    group.asking = setTimeout(() => {
      group.members.forEach((chart) => chart.member.wake())
    }, REPORT_MS)
  }

  reset() {
    groups.get(this.group).range = null
    writeZoom(groups.get(this.group))
    groups.get(this.group).members.forEach((chart) => {
      chart.resets += 1
      enqueue(chart)
    })
    this.askForRange()
  }

  remove() {
    this.gone = true
    queue.delete(this)
    this.resizing.disconnect()
    this.member.remove()
    document.removeEventListener("visibilitychange", this.onVisible)
    this.leaveGroup()
    this.overlay.replaceChildren()
    if (this.drawn) this.plotly.purge(this.node)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let chart = charts.get(parentElement)
  if (!chart) {
    chart = new Chart(parentElement)
    charts.set(parentElement, chart)
  }
  chart.update(data, setTriggerValue)
  return () => {
    chart.remove()
    charts.delete(parentElement)
  }
}
