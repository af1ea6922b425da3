// Entries of legends that are hidden are in the page's address, so that a copy of it shows the same: CHART.TRACE, with
// commas between. Appended to live_chart.js by live_chart.py.

const HIDDEN = "hidden"

function hiddenOfAddress() {
  return readAddress(HIDDEN).split(",").filter((one) => /^[\w-]+\.\w+$/.test(one)) // what cannot be read is ignored
}

class HiddenEntries {
  constructor(chart) {
    this.chart = chart
    this.reads = 0
    this.traces = new Set() // by uid: those that the address hides; plotly keeps what is clicked after it was read
  }

  // In the address; empty for a chart that is not.
  prefix() {
    const { addressed, source } = this.chart.data
    return addressed && source ? `${source.chart}.` : ""
  }

  read() {
    const prefix = this.prefix()
    const found = prefix ? hiddenOfAddress().filter((one) => one.startsWith(prefix)) : []
    this.traces = new Set(found.map((one) => one.slice(prefix.length)))
    this.reads += 1
  }

  // As the address has it: an entry with a group stands for all of it.
  shown(traces) {
    const isHidden = (trace) => this.traces.has(trace.uid)
    const groups = new Set(traces.filter((trace) => trace.legendgroup && isHidden(trace)).map((one) => one.legendgroup))
    return traces.map((trace) =>
      isHidden(trace) || groups.has(trace.legendgroup) ? { ...trace, visible: "legendonly" } : { ...trace },
    )
  }

  revision(layout) {
    ;(layout.legend ??= {}).uirevision = `${layout.uirevision}:${this.reads}`
  }

  // After a click on the legend.
  write() {
    const prefix = this.prefix()
    if (!prefix) return
    const hidden = this.chart.node.data.filter((trace) => trace.visible === "legendonly" && trace.showlegend !== false)
    const others = hiddenOfAddress().filter((one) => !one.startsWith(prefix))
    writeAddress(HIDDEN, [...others, ...hidden.map((trace) => prefix + trace.uid)].join(","))
  }
}
