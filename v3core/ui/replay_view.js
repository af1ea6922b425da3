// What is shown of one replay: the frame, the chart of all steps with a cursor, and what is known of the step. Appended
// to replay_player.js by replay_player.py.

const SMALL = 200 // pixels of width up to which a frame's own pixels are shown as such
const STEP_MS = 150 // least time between two steps that are asked for while a replay is playing

class ReplayView {
  constructor(player) {
    this.player = player
    this.frames = new Frames(() => this.draw())
    this.title = element("div", { className: "v3-replay-title" })
    this.canvas = element("canvas", { width: 1, height: 1 })
    this.canvas.setAttribute("role", "img")
    this.note = element("p", { className: "v3-replay-note" })
    this.note.setAttribute("role", "status")
    this.observation = element("div", { className: "v3-replay-observation" }) // where there is no frame
    this.timeline = element("div", { className: "v3-replay-plot" })
    this.cursor = element("div", { className: "v3-cursor" })
    this.chart = element("div", { className: "v3-replay-timeline" }, this.timeline, this.cursor)
    this.caption = element("p", { className: "v3-replay-note" })
    this.step = new StepPanel(this)
    this.root = element("div", { className: "v3-replay-side" })
    const screen = element("div", { className: "v3-replay-screen" }, this.canvas, this.note, this.observation)
    const top = element("div", { className: "v3-replay-top" }, screen, element("div", {}, this.step.actions, this.step.actionsNote))
    this.root.append(this.title, top, this.chart, this.caption, this.step.root)
    this.scrubs()
    this.resizing = new ResizeObserver(() => this.drawChart())
    this.resizing.observe(this.chart)
  }

  update(data, script) {
    this.data = data
    this.title.textContent = data.title
    this.frames.update(data.frames)
    this.step.update(data)
    if (this.json !== data.figure) {
      this.json = data.figure
      this.figure = patched(undefined, JSON.parse(data.figure))
      this.chart.style.minHeight = `${this.figure.layout.height}px` // so that nothing moves when it is drawn
      this.chart.setAttribute("role", "img")
      this.chart.setAttribute("aria-label", this.figure.layout.meta?.alt ?? "")
      this.caption.textContent = this.figure.layout.meta?.caption ?? ""
    }
    loadPlotly(script, this.player.data.words).then(
      (plotly) => {
        this.plotly = plotly
        this.drawChart()
        this.step.draw()
      },
      (error) => (this.caption.textContent = filled(this.player.data.words.failed, { reason: error.message })),
    )
  }

  // The replay may be shorter than the one beside it: it stays at its end.
  show(position) {
    this.position = Math.min(position, this.data.steps + 1)
    this.draw()
    this.place()
    this.step.show(Math.min(this.position, this.data.steps))
  }

  isReady(position) {
    const { frames, steps } = this.data
    const frame = Math.min(position, steps + 1) - 1
    return !frames.url || frame >= this.frames.total || this.frames.has(frame)
  }

  draw() {
    if (this.gone || !this.data) return
    const { frames } = this.data
    const frame = this.position - 1
    const picture = this.frames.get(frame)
    const isMissing = frame >= this.frames.total // not all of them could be drawn
    this.canvas.hidden = !picture && (isMissing || !frames.url || this.canvas.width === 1)
    if (!this.canvas.hidden) this.note.textContent = ""
    else this.note.textContent = isMissing || !frames.url ? frames.none : this.player.data.words.drawing
    this.observation.hidden = !(isMissing || !frames.url)
    if (!picture) return
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      ;[this.canvas.width, this.canvas.height] = [picture.width, picture.height]
      this.canvas.classList.toggle("v3-replay-small", picture.width < SMALL)
      // A terminal of 80 columns cannot be read in half of the page.
      this.root.classList.toggle("v3-replay-wide", picture.width > 1.5 * picture.height && picture.width > 800)
    }
    this.canvas.getContext("2d").drawImage(picture, 0, 0)
    this.canvas.dataset.frame = frame
    this.canvas.setAttribute("aria-label", filled(this.player.data.words.frame, { title: this.data.title, step: this.position }))
  }

  drawChart() {
    const width = Math.round(this.chart.clientWidth)
    if (this.gone || !this.plotly || !this.figure || width === 0) return
    const colours = theme(this.root)
    const key = JSON.stringify([width, colours])
    if (this.drawn === this.figure && this.drawnAs === key) return
    ;[this.drawn, this.drawnAs] = [this.figure, key]
    const layout = structuredClone(this.figure.layout)
    dress(layout, colours, width, layout.height)
    layout.dragmode = false
    const data = this.figure.data.map((trace) => ({ ...trace }))
    this.plotly.react(this.timeline, data, layout, PLOTLY_CONFIG).then(() => {
      this.chart.dataset.drawn = "true"
      this.place()
    })
  }

  // The part of the axis that is looked at; it turns like a page when the cursor leaves it.
  range() {
    const span = Number(this.player.span.value) || Infinity
    if (span >= this.data.steps) return [0.5, this.data.steps + 1.5]
    const first = Math.floor((this.position - 1) / span) * span
    return [first + 0.5, first + span + 1.5]
  }

  place() {
    const { _fullLayout: full } = this.timeline
    if (!full?.xaxis || !this.position) return
    const range = this.range()
    if (String(full.xaxis.range) !== String(range)) this.plotly.relayout(this.timeline, { "xaxis.range": range })
    const { l, t, h } = full._size
    Object.assign(this.cursor.style, {
      left: `${l + full.xaxis.l2p(this.position)}px`,
      top: `${t}px`,
      height: `${h}px`,
    })
  }

  // A press on the chart, or a drag along it, goes to that step.
  scrubs() {
    const to = ({ clientX }) => {
      const { _fullLayout: full } = this.timeline
      if (!full?.xaxis) return
      const x = clientX - this.timeline.getBoundingClientRect().left - full._size.l
      this.player.pauseAt(Math.round(full.xaxis.p2l(x)))
    }
    this.chart.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return
      this.chart.setPointerCapture(event.pointerId)
      this.scrubbing = true
      to(event)
    })
    this.chart.addEventListener("pointermove", (event) => this.scrubbing && to(event))
    for (const end of ["pointerup", "pointercancel"]) this.chart.addEventListener(end, () => (this.scrubbing = false))
  }

  remove() {
    this.gone = true
    this.frames.remove()
    this.resizing.disconnect()
    this.step.remove()
    this.plotly?.purge(this.timeline)
    this.root.remove()
  }
}

// What is known of one step: actions, graph, and the way from observation to action. The server makes it on demand.
class StepPanel {
  constructor(view) {
    this.view = view
    this.actions = element("div", { className: "v3-replay-actions" })
    this.actionsNote = element("p", { className: "v3-replay-note" })
    this.graph = element("div", { className: "v3-replay-graph" })
    this.graphNote = element("p", { className: "v3-replay-note" })
    this.explained = element("div", { className: "v3-replay-explained" })
    this.layer = this.choice()
    this.head = this.choice()
    this.choices = element("div", { className: "v3-replay-choices" }, this.layer, this.head)
    const graph = element("div", {}, this.choices, this.graph, this.graphNote)
    this.root = element("div", { className: "v3-replay-step" }, graph, this.explained)
    this.resizing = new ResizeObserver(() => this.draw())
    this.resizing.observe(this.actions)
    this.resizing.observe(this.graph)
  }

  choice() {
    return element("select", { onchange: () => this.ask(true) })
  }

  update(data) {
    this.data = data
    const { layers, heads, help } = data.choices
    this.offer(this.layer, layers)
    this.offer(this.head, heads)
    const { words } = this.view.player.data
    for (const [field, name] of [[this.layer, words.layer], [this.head, words.head]]) {
      field.title = name
      field.setAttribute("aria-label", name)
    }
    this.choices.hidden = layers.length === 0
    this.actions.title = help.actions
    this.graph.title = help.graph
    this.explained.title = help.explained
    if (this.known !== data.stepKnown) this.shown = undefined // the inside is there now
    this.known = data.stepKnown
    if (this.wanted) this.ask()
  }

  offer(select, options) {
    const wanted = JSON.stringify(options)
    if (select.dataset.options === wanted) return
    const { value } = select
    select.replaceChildren(...options.map(([number, label]) => new Option(label, number ?? "")))
    if (options.some(([number]) => String(number ?? "") === value)) select.value = value
    select.dataset.options = wanted
    select.hidden = options.length < 2
  }

  show(step) {
    this.wanted = step
    this.ask()
  }

  // One request at a time; what was wanted meanwhile is asked for next.
  async ask(isForced = false) {
    const key = JSON.stringify([this.wanted, this.layer.value, this.head.value, this.known, this.data.stepUrl])
    if (this.asking || (this.shown === key && !isForced) || !this.data.stepUrl) return
    this.asking = true
    try {
      const address = `${this.data.stepUrl}&step=${this.wanted}&layer=${this.layer.value}&head=${this.head.value}`
      const answer = await fetch(address)
      const said = await answer.json()
      this.shown = key
      if (answer.ok) this.take(said)
      else this.explained.textContent = said.error
    } catch {
      this.explained.textContent = this.view.player.data.words.unreachable
      await new Promise((later) => setTimeout(later, 1000))
    }
    await new Promise((later) => setTimeout(later, this.view.player.playing ? STEP_MS : 0))
    this.asking = false
    if (!this.gone) this.ask()
  }

  take({ step, actions, graph, explained, ...notes }) {
    this.figures = new Map([
      [this.actions, actions],
      [this.graph, graph],
    ])
    this.actionsNote.textContent = notes.actions_note
    this.graphNote.textContent = notes.graph_note
    this.root.dataset.step = step
    this.explain(explained)
    this.draw()
  }

  explain(parts) {
    const drawn = parts.map(({ title, text, rows = [] }) => {
      const part = element("section", {}, element("h4", { textContent: title }))
      if (text) part.append(element("p", { textContent: text }))
      if (rows.length) {
        const lines = rows.map((row) =>
          element("tr", {}, ...row.map((cell, at) => element(at ? "td" : "th", { textContent: cell, scope: at ? "" : "row" }))),
        )
        part.append(element("table", {}, element("tbody", {}, ...lines)))
      }
      return part
    })
    this.explained.replaceChildren(...drawn)
    const observed = parts.findIndex(({ title }) => title === this.view.player.data.words.observation)
    this.view.observation.replaceChildren(...(observed < 0 ? [] : [drawn[observed].cloneNode(true)]))
  }

  draw() {
    const { plotly } = this.view
    if (this.gone || !plotly || !this.figures) return
    const colours = theme(this.view.root)
    for (const [node, figure] of this.figures) {
      const width = Math.round(node.clientWidth)
      if (!figure || width === 0) {
        if (!figure && node._fullLayout) plotly.purge(node)
        continue
      }
      const layout = structuredClone(figure.layout)
      dress(layout, colours, width, layout.height)
      layout.dragmode = false
      node.setAttribute("role", "img")
      node.setAttribute("aria-label", layout.meta?.alt ?? "")
      plotly.react(node, figure.data.map((trace) => ({ ...trace })), layout, PLOTLY_CONFIG)
    }
  }

  remove() {
    this.gone = true
    this.resizing.disconnect()
    for (const node of [this.actions, this.graph]) this.view.plotly?.purge(node)
  }
}
